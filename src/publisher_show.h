/*-------------------------------------------------------------------------
 *
 * publisher_show.h
 *	  What the publisher shows of itself.  For the publisher only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PUBLISHER_SHOW_H
#define EV_PUBLISHER_SHOW_H

#include "shared.h"

extern void ev_publisher_show_slot(bool there);
extern void ev_publisher_show_rest(EvState state, const char *reason);
extern bool ev_publisher_show_trouble(void);
extern void ev_publisher_show_streaming(EvInstant now);
extern void ev_publisher_show_blocker(TransactionId blocker);
extern void ev_publisher_show_standbys(void);

#endif							/* EV_PUBLISHER_SHOW_H */
