/*-------------------------------------------------------------------------
 *
 * backlog.c
 *	  Rows of outboxes that are published from the tables.
 *
 * Whoever cannot read a row in the write-ahead log finds it here: recovery,
 * after the loss of a slot, and the attaching of a table that has rows
 * already.
 *
 * Promises: rows go in the order in which they were inserted as far as the
 * table tells: by an id that grows (Tram's, a number), else by the age of
 * their transactions and by their place in the table.  Which rows they are is
 * told by backlog_rows.c.
 *
 * Tables are scanned directly, not through SQL: no policy, no function of
 * anybody's and no plan comes into it.  Only sort keys are sorted, and rows
 * are read again by their place; so their size does not matter.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"

#include "backlog.h"
#include "backlog_rows.h"
#include "message.h"
#include "outbox.h"
#include "row.h"

/* What is sorted: a key, and where its row is. */
enum
{
	SORT_KEY = 1,
	SORT_TID,
	SORT_COLUMNS = SORT_TID
};

/* One table's rows, sorted. */
typedef struct RowStream
{
	Relation	relation;
	const EvOutbox *outbox;
	TransactionId next;			/* when reading began, the same for all tables */
	Tuplesortstate *sort;
	TupleTableSlot *sorted;
	TupleTableSlot *row;
	char	   *key;			/* of the next row; NULL: no more rows */
} RowStream;

/* ---------------------------------------------------------------------
 * Which tables
 * ---------------------------------------------------------------------
 */

/* Could the table's rows have come through the write-ahead log? */
static bool
is_decodable(Relation relation)
{
	const EvOutbox *outbox;

	if (relation->rd_rel->relkind != RELKIND_RELATION ||
		relation->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		return false;
	outbox = ev_outbox_find(relation);
	return outbox != NULL && outbox->label.reader == EV_READER_WAL &&
		(ev_label_is_attached(&outbox->label) ||
		 ev_moment_counts(&outbox->label.period.until));
}

/*
 * Locks a table with all its partitions, which come behind it, as in others'
 * commands; adds to a list what can be read.
 */
static List *
lock_tree(List *relations, Oid relid, LOCKMODE lockmode)
{
	List	   *tree;
	ListCell   *cell;

	LockRelationOid(relid, lockmode);
	tree = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(relid, lockmode, NULL) : list_make1_oid(relid);
	foreach(cell, tree)
	{
		Relation	relation = try_relation_open(lfirst_oid(cell), lockmode);

		if (relation == NULL)
			continue;
		if (is_decodable(relation) && !list_member_ptr(relations, relation))
			relations = lappend(relations, relation);
		else
			relation_close(relation, NoLock);
	}
	return relations;
}

/* One outbox, locked, as relations that have rows.  Needs a transaction. */
List *
ev_backlog_lock_table(Oid relid, LOCKMODE lockmode)
{
	return lock_tree(NIL, relid, lockmode);
}

/* All outboxes, locked: from now on nobody rewrites them. */
List *
ev_backlog_lock(void)
{
	List	   *relations = NIL;
	ListCell   *cell;

	foreach(cell, ev_outbox_list())
		relations = lock_tree(relations, lfirst_oid(cell), AccessShareLock);
	return relations;
}

/* ---------------------------------------------------------------------
 * In which order
 * ---------------------------------------------------------------------
 */

/* By age of transaction, as of one and the same "next", then by place. */
static char *
place_key(TransactionId next, TupleTableSlot *slot)
{
	TransactionId xmin = ev_backlog_row_xmin(slot);
	uint32		age = TransactionIdIsNormal(xmin) ? next - xmin : PG_UINT32_MAX;

	return psprintf("%08x-%08x-%04x", PG_UINT32_MAX - age,
					ItemPointerGetBlockNumber(&slot->tts_tid),
					ItemPointerGetOffsetNumber(&slot->tts_tid));
}

/*
 * A number as Tram's CDC service would make an id of it; below zero it goes
 * before all others.
 */
static char *
number_key(const EvOutbox *outbox, int64 number)
{
	char		id[EV_ID_SIZE];

	ev_message_format_int128(id, number, Max(outbox->label.outbox_id, 0) +
							 outbox->shard);
	return psprintf("%s%s", number < 0 ? "-" : "", id);
}

/* What a row is sorted by: bytes, compared as such. */
static char *
sort_key(const EvOutbox *outbox, TransactionId next, TupleTableSlot *slot)
{
	AttrNumber	id = outbox->columns[EV_COLUMN_ID];
	AttrNumber	dbid = outbox->columns[EV_COLUMN_DBID];
	Oid			type = outbox->types[EV_COLUMN_ID];
	bool		isnull;
	Datum		value;

	if (dbid != 0)
	{
		value = slot_getattr(slot, dbid, &isnull);
		if (!isnull)
			return number_key(outbox, ev_outbox_integer(outbox, EV_COLUMN_DBID, value));
	}
	if (id != 0 && (type == TEXTOID || type == VARCHAROID) &&
		(outbox->columns[EV_COLUMN_TXID] != 0 ||
		 outbox->label.format == EV_FORMAT_EVENTUATE ||
		 outbox->label.format == EV_FORMAT_EVENTS))
	{
		value = slot_getattr(slot, id, &isnull);
		if (!isnull)
			return TextDatumGetCString(value);
	}
	if (id != 0 && (type == INT2OID || type == INT4OID || type == INT8OID))
	{
		value = slot_getattr(slot, id, &isnull);
		if (!isnull)
			return number_key(outbox, ev_outbox_integer(outbox, EV_COLUMN_ID, value));
	}
	return place_key(next, slot);
}

/* What is sorted in place of the rows themselves. */
static TupleDesc
sort_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(SORT_COLUMNS);

	TupleDescInitEntry(desc, SORT_KEY, "key", TEXTOID, -1, 0);
	TupleDescInitEntryCollation(desc, SORT_KEY, C_COLLATION_OID);
	TupleDescInitEntry(desc, SORT_TID, "tid", TIDOID, -1, 0);
	return desc;
}

/* Adds a row to those to be sorted. */
static void
put_row(RowStream *stream, TupleTableSlot *row)
{
	TupleTableSlot *slot = stream->sorted;
	char	   *key = sort_key(stream->outbox, stream->next, row);

	ExecClearTuple(slot);
	slot->tts_values[SORT_KEY - 1] = CStringGetTextDatum(key);
	slot->tts_values[SORT_TID - 1] = PointerGetDatum(&row->tts_tid);
	memset(slot->tts_isnull, false, SORT_COLUMNS * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(stream->sort, slot);
	ExecClearTuple(slot);
}

/* Sorts the rows of a table that are wanted, in so many kB. */
static void
sort_rows(RowStream *stream, const EvBacklog *backlog, int memory)
{
	AttrNumber	column = SORT_KEY;
	Oid			operator = TextLessOperator;
	Oid			collation = C_COLLATION_OID;
	bool		nulls_first = false;
	TupleDesc	desc = sort_desc();
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "eventuate sorted row",
													  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context;
	TableScanDesc scan;

	stream->sorted = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	stream->sort = tuplesort_begin_heap(desc, 1, &column, &operator, &collation,
										&nulls_first, memory,
										NULL, TUPLESORT_NONE);
	scan = table_beginscan(stream->relation, backlog->scan, 0, NULL);
	old_context = MemoryContextSwitchTo(row_context);
	while (table_scan_getnextslot(scan, ForwardScanDirection, stream->row))
	{
		CHECK_FOR_INTERRUPTS();
		if (ev_backlog_wants(backlog, stream->outbox, stream->row))
			put_row(stream, stream->row);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(row_context);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(stream->sorted);
	stream->sorted = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	tuplesort_performsort(stream->sort);
}

static void
next_row(RowStream *stream)
{
	bool		isnull;

	if (stream->key != NULL)
		pfree(stream->key);
	stream->key = NULL;
	if (tuplesort_gettupleslot(stream->sort, true, false, stream->sorted, NULL))
		stream->key = TextDatumGetCString(slot_getattr(stream->sorted, SORT_KEY,
													   &isnull));
}

static void
open_stream(RowStream *stream, Relation relation, const EvBacklog *backlog,
			TransactionId next, int memory)
{
	stream->relation = relation;
	stream->next = next;
	stream->outbox = ev_outbox_find(relation);
	stream->row = table_slot_create(relation, NULL);
	sort_rows(stream, backlog, memory);
	next_row(stream);
}

static void
close_stream(RowStream *stream)
{
	ExecDropSingleTupleTableSlot(stream->sorted);
	ExecDropSingleTupleTableSlot(stream->row);
	tuplesort_end(stream->sort);
	table_close(stream->relation, NoLock);
}

/* The stream whose row comes first; NULL: all are at their ends. */
static RowStream *
first_stream(RowStream *streams, int count)
{
	RowStream  *first = NULL;

	for (int i = 0; i < count; i++)
	{
		if (streams[i].key != NULL &&
			(first == NULL || strcmp(streams[i].key, first->key) < 0))
			first = &streams[i];
	}
	return first;
}

/* ---------------------------------------------------------------------
 * Sending
 * ---------------------------------------------------------------------
 */

/* Hands one row on; true if there was something to hand on. */
static bool
send_row(RowStream *stream, const EvBacklog *backlog, const EvSink *sink)
{
	EvOrigin	origin = {.outbox = stream->outbox->relid};
	bool		isnull;
	bool		should_free;
	Datum		tid = slot_getattr(stream->sorted, SORT_TID, &isnull);
	EvRow		row;
	EvRowKind	kind;

	if (!table_tuple_fetch_row_version(stream->relation, (ItemPointer) DatumGetPointer(tid),
									   backlog->scan, stream->row))
		elog(ERROR, "a row of table \"%s\" is not there anymore",
			 RelationGetRelationName(stream->relation));
	kind = ev_row_read(stream->outbox, RelationGetRelationName(stream->relation),
					   RelationGetDescr(stream->relation),
					   ExecFetchSlotHeapTuple(stream->row, false, &should_free),
					   &row);
	if (kind == EV_ROW_PUBLISHED)
		return false;
	origin.commit_time = GetCurrentTimestamp();
	if (kind == EV_ROW_MESSAGE)
		sink->message(&origin, &row.message);
	else
		sink->malformed(&origin, &row.message, row.name, row.reason);
	sink->commit(&origin);
	return true;
}

/* Sends the rows of all streams, by their keys.  Returns their number. */
static uint64
merge_streams(RowStream *streams, int count, const EvBacklog *backlog,
			  const EvSink *sink)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "eventuate backlog row",
													  ALLOCSET_DEFAULT_SIZES);
	uint64		sent = 0;
	RowStream  *stream;

	while ((stream = first_stream(streams, count)) != NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		if (send_row(stream, backlog, sink))
			sent++;
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(row_context);
		next_row(stream);
	}
	MemoryContextDelete(row_context);
	return sent;
}

/*
 * Sends the rows of a backlog, out of relations that ev_backlog_lock() or
 * ev_backlog_lock_table() returned, and closes those; their locks stay until
 * the transaction ends.  backlog->scan is the active snapshot.  Returns the
 * number of rows.
 */
uint64
ev_backlog_send(List *relations, const EvBacklog *backlog, const EvSink *sink)
{
	RowStream  *streams = palloc0(sizeof(RowStream) * Max(list_length(relations), 1));
	int			memory = Max(maintenance_work_mem / Max(list_length(relations), 1), 64);
	TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());
	ListCell   *cell;
	int			count = 0;
	uint64		sent;

	foreach(cell, relations)
		open_stream(&streams[count++], (Relation) lfirst(cell), backlog, next, memory);
	sent = merge_streams(streams, count, backlog, sink);
	for (int i = 0; i < count; i++)
		close_stream(&streams[i]);
	return sent;
}
