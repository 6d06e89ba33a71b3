/*-------------------------------------------------------------------------
 *
 * backlog.h
 *	  Rows of outboxes that are published from the tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_BACKLOG_H
#define EV_BACKLOG_H

#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/snapshot.h"

#include "outbox.h"

/*
 * Which rows: those that "now" sees and "known" does not (pg_snapshots).
 * known == 0: all that "scan" sees and that are not marked as published; of
 * those, with a filter, only what it wants.
 */
typedef struct EvBacklog
{
	Datum		known;
	Datum		now;
	Snapshot	scan;			/* sees everything, "now" and more */
	bool		(*filter) (const EvOutbox *outbox, TupleTableSlot *slot);
} EvBacklog;

extern List *ev_backlog_lock(void);
extern List *ev_backlog_lock_table(Oid relid, LOCKMODE lockmode);
extern bool ev_backlog_is_published(const EvOutbox *outbox,
									TupleTableSlot *slot, Datum published);
extern bool ev_backlog_row_time(const EvOutbox *outbox, TupleTableSlot *slot,
								TimestampTz *time);
extern uint64 ev_backlog_send(List *relations, const EvBacklog *backlog,
							  const EvSink *sink);

#endif							/* EV_BACKLOG_H */
