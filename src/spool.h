/*-------------------------------------------------------------------------
 *
 * spool.h
 *	  Messages that have to wait, first in, first out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SPOOL_H
#define EV_SPOOL_H

#include "eventuate.h"

typedef struct EvSpool EvSpool;

/* A message in a spool, with what the caller knows of it and why it waits. */
typedef struct EvSpooled
{
	void	   *record;			/* the caller's, any bytes */
	size_t		record_length;
	EvMessage	message;
	const char *error_name;		/* may be NULL */
	const char *error;
} EvSpooled;

extern size_t ev_spool_headers_size(const EvMessage *message);
extern size_t ev_spool_message_size(const EvMessage *message);
extern EvSpool *ev_spool_create(int memory);
extern void ev_spool_destroy(EvSpool *spool);
extern void ev_spool_put(EvSpool *spool, const EvSpooled *spooled);
extern bool ev_spool_peek(EvSpool *spool, EvSpooled *spooled);
extern void ev_spool_drop(EvSpool *spool);
extern bool ev_spool_get(EvSpool *spool, EvSpooled *spooled);
extern uint64 ev_spool_count(const EvSpool *spool);

#endif							/* EV_SPOOL_H */
