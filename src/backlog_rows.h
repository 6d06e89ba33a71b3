/*-------------------------------------------------------------------------
 *
 * backlog_rows.h
 *	  Which rows of an outbox are messages, and which are published?
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_BACKLOG_ROWS_H
#define EV_BACKLOG_ROWS_H

#include "executor/tuptable.h"
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

extern bool ev_backlog_wants(const EvBacklog *backlog, const EvOutbox *outbox,
							 TupleTableSlot *slot);
extern bool ev_backlog_is_published(const EvOutbox *outbox,
									TupleTableSlot *slot, Datum published);
extern bool ev_backlog_row_time(const EvOutbox *outbox, TupleTableSlot *slot,
								TimestampTz *time);
extern TransactionId ev_backlog_row_xmin(TupleTableSlot *slot);

#endif							/* EV_BACKLOG_ROWS_H */
