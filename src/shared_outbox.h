/*-------------------------------------------------------------------------
 *
 * shared_outbox.h
 *	  What is known in shared memory of each outbox.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SHARED_OUTBOX_H
#define EV_SHARED_OUTBOX_H

#include "storage/lwlock.h"

#include "shared.h"

/* Outboxes that one server can count and poll, in all its databases. */
#define EV_MAX_OUTBOXES 512

/*
 * One outbox.  The entry is made when its first message is read, or when it
 * is to be polled.
 */
typedef struct EvOutboxEntry
{
	slock_t		mutex;			/* protects all plain fields */
	Oid			datid;			/* InvalidOid: the entry is free */
	Oid			relid;			/* of the table that has the label */
	bool		polled;			/* is there to be a poller? */
	EvWorker	poller;

	uint64		messages;
	uint64		malformed;
	TimestampTz last_message_time;
	char		last_error[EV_ERROR_LENGTH];	/* of the newest malformed row */
	TimestampTz last_error_time;
} EvOutboxEntry;

extern EvOutboxEntry *ev_shared_outbox_entry(int index);
extern EvOutboxEntry *ev_shared_outbox_find(Oid datid, Oid relid);
extern EvOutboxEntry *ev_shared_outbox_get(Oid datid, Oid relid);
extern void ev_shared_outbox_remove(EvOutboxEntry *outbox);

extern void ev_shared_outbox_count(Oid relid, uint64 messages, TimestampTz time);
extern void ev_shared_outbox_count_malformed(Oid relid, const char *reason);
extern void ev_shared_outbox_reset(Oid datid);

extern void ev_shared_outbox_poll(Oid relid);
extern void ev_shared_outbox_poll_at_commit(Oid relid);
extern void ev_shared_outbox_at_commit(void);
extern void ev_shared_outbox_forget_requests(void);

/* For shared.c. */
extern Size ev_shared_outbox_size(void);
extern void ev_shared_outbox_startup(LWLock *lock);

#endif							/* EV_SHARED_OUTBOX_H */
