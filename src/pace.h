/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  When there is nothing to read: how long to wait, and for what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PACE_H
#define EV_PACE_H

#include "datatype/timestamp.h"

#include "shared.h"

extern void ev_pace_flush_commits(EvDatabase *database);
extern void ev_pace_wait(EvDatabase *database);
extern EvInstant ev_pace_caught_up_at(void);
extern TimestampTz ev_pace_end_seen_at(void);

#endif							/* EV_PACE_H */
