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

extern bool ev_refusal_may_pass(const char *error_name);
extern bool ev_refusal_any(void);
extern bool ev_refusal_holds(const char *topic);
extern bool ev_refusal_begin(const char *topic, EvInstant now);
extern void ev_refusal_hold(const EvSpooled *message);
extern bool ev_refusal_put_off(const EvSpooled *refused, EvInstant now);
extern bool ev_refusal_is_put_off(const char *topic, EvInstant now);
extern bool ev_refusal_due(EvInstant now, EvSpooled *first);
extern void ev_refusal_try_later(const char *topic, EvInstant now);
extern EvSpool *ev_refusal_release(const char *topic);
extern void ev_refusal_accepted(const char *topic);
extern bool ev_refusal_expired(const char *topic, EvInstant now);
extern const char *ev_refusal_explain(void);

#endif							/* EV_REFUSAL_H */
