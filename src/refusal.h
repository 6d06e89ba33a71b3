/*-------------------------------------------------------------------------
 *
 * refusal.h
 *	  Topics whose messages are held back for a while.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_REFUSAL_H
#define EV_REFUSAL_H

#include "spool.h"

extern bool ev_refusal_any(void);
extern uint64 ev_refusal_count(void);
extern bool ev_refusal_holds(const char *topic);
extern bool ev_refusal_hold(const EvSpooled *refused, EvInstant now);
extern EvSpool *ev_refusal_due(EvInstant now);
extern void ev_refusal_accepted(const char *topic);
extern bool ev_refusal_expired(const char *topic, EvInstant now);
extern const char *ev_refusal_explain(void);

#endif							/* EV_REFUSAL_H */
