/*-------------------------------------------------------------------------
 *
 * exactly_once.h
 *	  From the position that Kafka keeps to the slot, and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_EXACTLY_ONCE_H
#define EV_EXACTLY_ONCE_H

#include "eventuate.h"

extern void ev_exactly_once_begin(void);
extern bool ev_exactly_once_ready(void);
extern XLogRecPtr ev_exactly_once_resume(void);
extern bool ev_exactly_once_store(XLogRecPtr lsn);
extern void ev_exactly_once_keep_position(EvInstant now);

#endif							/* EV_EXACTLY_ONCE_H */
