/*-------------------------------------------------------------------------
 *
 * progress.h
 *	  What this database remembers of its publishing: table eventuate.progress.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PROGRESS_H
#define EV_PROGRESS_H

#include "access/xlogdefs.h"

typedef struct EvProgress
{
	Datum		snapshot;		/* pg_snapshot: what it sees is published; 0:
								 * taken over by somebody */
	TimeLineID	timeline;		/* on which the slot was made; 0: none yet */
	bool		recovering;		/* the slot was lost, and there is no other
								 * yet */
	Oid			database;		/* whose progress this is */
	bool		paused;
	bool		wal_messages;	/* some were sent with send_mode = wal */
	bool		replaced;		/* somebody has written another row */
} EvProgress;

extern bool ev_progress_load(EvProgress *progress);
extern Datum ev_progress_transaction_snapshot(void);
extern Datum ev_progress_stored_snapshot(void);
extern Datum ev_progress_current_snapshot(void);
extern bool ev_progress_store(Datum snapshot, TimeLineID timeline);
extern bool ev_progress_store_wal_messages(void);
extern void ev_progress_watch(void);
extern bool ev_progress_changed(void);

#endif							/* EV_PROGRESS_H */
