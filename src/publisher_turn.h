/*-------------------------------------------------------------------------
 *
 * publisher_turn.h
 *	  A turn of the publisher's loop.  For the publisher only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PUBLISHER_TURN_H
#define EV_PUBLISHER_TURN_H

#include "compat.h"
#include "progress.h"
#include "shared.h"

/* How far the publisher has come. */
typedef struct EvPublisher
{
	EvDatabase *database;
	EvProgress	progress;		/* as it was loaded last */
	bool		connected;		/* there is a producer to serve */
	bool		decoding;		/* the slot is open, to be confirmed */
	EvInstant	round_began_at; /* of recovery's */
	bool		retry_at_reload;	/* a reload may mend what a person is
									 * waited for */
} EvPublisher;

extern EvPublisher ev_publisher;

extern void ev_publisher_begin_turns(void);
extern void ev_publisher_turn(void);
extern void ev_publisher_wait_turn(void);
extern void ev_publisher_wait_turn_for(long timeout_ms);
pg_noreturn extern void ev_publisher_rest(EvState state, const char *reason);
extern void ev_publisher_drain(void);

#endif							/* EV_PUBLISHER_TURN_H */
