/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  Which tables are outboxes, and what their columns are to us.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_OUTBOX_H
#define EV_OUTBOX_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "eventuate.h"
#include "outbox_label.h"

/* A column that a label places somewhere; of a domain the type below it. */
typedef struct EvPlaced
{
	AttrNumber	column;
	Oid			type;
	int32		typmod;
} EvPlaced;

typedef struct EvOutbox
{
	Oid			relid;			/* of the table that has the label */
	EvLabel		label;
	AttrNumber	columns[EV_COLUMN_COUNT];	/* 0: the table has none */
	Oid			types[EV_COLUMN_COUNT]; /* of a domain that below it */
	EvPlaced   *placed;			/* the columns of label.placements */
	int			shard;			/* of Tram's tables message0..N; else 0 */
	const char *problem;		/* why no row of it can be read, or NULL */
} EvOutbox;

/* Are its rows read from the write-ahead log, from now on? */
static inline bool
ev_outbox_is_decoded(const EvOutbox *outbox)
{
	return outbox->label.reader == EV_READER_WAL &&
		ev_label_is_attached(&outbox->label);
}

extern void ev_outbox_init(void);
extern const EvOutbox *ev_outbox_find(Relation relation);
extern uint64 ev_outbox_generation(void);
extern bool ev_outbox_is_readable(Oid relid, EvReader reader);
extern bool ev_outbox_is_polled(Oid relid);
extern List *ev_outbox_list(void);
extern void ev_outbox_register(void);
extern bool ev_outbox_is_attached(Oid relid);
extern bool ev_outbox_needs_wal(Oid relid);
extern Oid	ev_outbox_unreadable_partition(Oid relid);
extern void ev_outbox_set_label(Oid relid, const char *label);

/* outbox_columns.c */
extern AttrNumber ev_outbox_age_column(const EvOutbox *outbox, TupleDesc desc);
extern int64 ev_outbox_integer(const EvOutbox *outbox, EvColumn column, Datum value);
extern void ev_outbox_map_columns(EvOutbox *outbox, TupleDesc desc);

#endif							/* EV_OUTBOX_H */
