/*-------------------------------------------------------------------------
 *
 * horizon.h
 *	  How far may WAL be read?
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_HORIZON_H
#define EV_HORIZON_H

#include "access/xlogdefs.h"

#include "eventuate.h"

extern XLogRecPtr ev_horizon(TimeLineID *timeline);
extern XLogRecPtr ev_horizon_align(XLogRecPtr lsn);
extern XLogRecPtr ev_horizon_inserted(void);
extern bool ev_horizon_is_end(void);
extern const char *ev_horizon_explain(EvInstant now);

#endif							/* EV_HORIZON_H */
