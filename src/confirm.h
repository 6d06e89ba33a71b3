/*-------------------------------------------------------------------------
 *
 * confirm.h
 *	  The one rule.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_CONFIRM_H
#define EV_CONFIRM_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

#include "shared.h"

extern void ev_confirm_begin(EvDatabase *database, XLogRecPtr lsn);
extern void ev_confirm(EvInstant now, TimestampTz end_seen_at);
extern void ev_confirm_save(void);
extern void ev_confirm_store_progress(EvInstant now);
extern void ev_confirm_hurry_progress(void);
extern bool ev_confirm_progress_pending(void);

#endif							/* EV_CONFIRM_H */
