/*-------------------------------------------------------------------------
 *
 * inflight.h
 *	  The window of transactions that wait for Kafka's acknowledgement.
 *
 * The contracts stand above the functions in inflight.c.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_INFLIGHT_H
#define EV_INFLIGHT_H

#include "access/xlogdefs.h"

/* Transactions in the window from which on ev_inflight_full() says so. */
#define EV_INFLIGHT_MAX (1024 * 1024)

typedef struct EvInflight EvInflight;

/*
 * Names a transaction in the window; rises by one with each transaction and
 * is never 0.  The producer carries it as the opaque of each of the
 * transaction's records.
 */
typedef uint64 EvTicket;

extern EvInflight *ev_inflight_create(void);
extern void ev_inflight_destroy(EvInflight *window);
extern bool ev_inflight_full(const EvInflight *window);
extern EvTicket ev_inflight_begin(EvInflight *window, XLogRecPtr end_lsn,
								  int64 commit_time);
extern void ev_inflight_add(EvInflight *window, EvTicket ticket);
extern void ev_inflight_commit(EvInflight *window, EvTicket ticket);
extern void ev_inflight_ack(EvInflight *window, EvTicket ticket);
extern XLogRecPtr ev_inflight_safe_lsn(const EvInflight *window);
extern int64 ev_inflight_safe_time(const EvInflight *window);
extern bool ev_inflight_empty(const EvInflight *window);
extern uint64 ev_inflight_messages(const EvInflight *window);
extern uint64 ev_inflight_unconfirmed(const EvInflight *window);
extern XLogRecPtr ev_inflight_end_lsn(const EvInflight *window,
									  EvTicket ticket);

#endif							/* EV_INFLIGHT_H */
