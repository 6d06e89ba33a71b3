/*-------------------------------------------------------------------------
 *
 * dead_letter.h
 *	  What Kafka will never take, kept where SQL can read it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DEAD_LETTER_H
#define EV_DEAD_LETTER_H

#include "spool.h"

extern EvSpooled ev_dead_letter_storable(const EvSpooled *refused);
extern void ev_dead_letter_begin(void);
extern void ev_dead_letter_commit(void);
extern void ev_dead_letter_store(const EvSpooled *refused,
								 const EvOrigin *origin, int64 position,
								 int attempts);

#endif							/* EV_DEAD_LETTER_H */
