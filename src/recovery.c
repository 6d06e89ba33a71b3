/*-------------------------------------------------------------------------
 *
 * recovery.c
 *	  Publishing from the tables, where there is no slot to read from.
 *
 * That is so at birth, and when the slot was lost: dropped, invalidated, left
 * on another server.  Known is a snapshot S of which every message is
 * acknowledged (progress.c).  A round publishes what a newer snapshot sees and
 * S does not, waits for the acknowledgements and stores the newer one.  Rounds
 * go on until one is short, and while the new slot waits for transactions
 * that were already running to end.  The last round is read with the slot's
 * own first snapshot: it sees exactly what decoding will not bring.
 *
 * Promises: nothing committed is left out; rows go in the order of their ids.
 * A row counts by its column txid, the top-level transaction that inserted
 * it, which UPDATE and freezing leave alone; in a table without one by xmin.
 *
 * A crash at any point starts again from the S that was stored last.  The slot
 * becomes persistent only when all that was recovered is acknowledged.
 *
 * Tables are scanned directly, not through SQL: no policy, no function of
 * anybody's and no plan comes into it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_seclabel.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"
#include "utils/xid8.h"

#include "horizon.h"
#include "outbox.h"
#include "progress.h"
#include "recovery.h"
#include "row.h"
#include "slot.h"
#include "wal_limit.h"

/* A round that sends fewer messages than this is short. */
#define SHORT_ROUND 1000

/*
 * While the slot waits for a transaction there is a round every so many ms,
 * but never so often that reading the tables takes more than a tenth of the
 * time.
 */
#define ROUND_INTERVAL 100
#define ROUND_SHARE 10

/* A round publishes what "now" sees and "known" does not. */
typedef struct Round
{
	Datum		known;
	Datum		now;
	Snapshot	scan;			/* sees everything, "now" and more */
} Round;

/* One table's rows of a round, sorted by id. */
typedef struct RowStream
{
	Relation	relation;
	const EvOutbox *outbox;
	Tuplesortstate *sort;
	TupleTableSlot *slot;
	char	   *id;				/* of the row in "slot"; NULL: no more rows */
} RowStream;

/* The tables that are labelled as outboxes. */
static List *
labelled_tables(void)
{
	List	   *tables = NIL;
	Relation	labels = table_open(SecLabelRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(labels, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		FormData_pg_seclabel *label = (FormData_pg_seclabel *) GETSTRUCT(tuple);
		bool		isnull;
		Datum		provider = heap_getattr(tuple, Anum_pg_seclabel_provider,
											RelationGetDescr(labels), &isnull);

		if (label->classoid == RelationRelationId && label->objsubid == 0 &&
			strcmp(TextDatumGetCString(provider), "eventuate") == 0)
			tables = lappend_oid(tables, label->objoid);
	}
	systable_endscan(scan);
	table_close(labels, AccessShareLock);
	return tables;
}

/*
 * Is a row, by its xmin, older than anything that was running when "known"
 * was taken?  xmin has 32 bits: what is too far away to tell is not.
 */
static bool
xmin_is_known(TransactionId xmin, Datum known)
{
	FullTransactionId oldest = DatumGetFullTransactionId(DirectFunctionCall1(pg_snapshot_xmin, known));
	uint64		age = U64FromFullTransactionId(ReadNextFullTransactionId()) -
	U64FromFullTransactionId(oldest);

	return TransactionIdIsNormal(xmin) && age < UINT64CONST(0x7fffffff) &&
		TransactionIdPrecedes(xmin, XidFromFullTransactionId(oldest));
}

/*
 * Is a row one of ours to publish?  It is not if its txid is of another
 * cluster: a row cannot be older than the transaction that inserted it.
 */
static bool
is_unpublished(const EvOutbox *outbox, TupleTableSlot *slot,
			   const Round *round)
{
	AttrNumber	txid_column = outbox->columns[EV_COLUMN_TXID];
	bool		isnull = true;
	Datum		value = (Datum) 0;
	TransactionId xmin = DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull));
	FullTransactionId txid;

	isnull = true;
	if (txid_column != 0 && outbox->problem == NULL)
		value = slot_getattr(slot, txid_column, &isnull);
	if (isnull)
		return !xmin_is_known(xmin, round->known);
	txid = DatumGetFullTransactionId(value);
	if (FullTransactionIdFollowsOrEquals(txid, ReadNextFullTransactionId()))
		return false;
	if (TransactionIdIsNormal(xmin) &&
		TransactionIdPrecedes(xmin, XidFromFullTransactionId(txid)))
		return false;
	return DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, value, round->now)) &&
		!DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, value, round->known));
}

/* Sorts the rows of a table that are the round's to publish. */
static void
sort_rows(RowStream *stream, const Round *round)
{
	AttrNumber	column = stream->outbox->columns[EV_COLUMN_ID];
	Oid			operator = TextLessOperator;
	Oid			collation = C_COLLATION_OID;
	bool		nulls_first = false;
	TableScanDesc scan;
	TupleTableSlot *slot = table_slot_create(stream->relation, NULL);

	stream->sort = tuplesort_begin_heap(RelationGetDescr(stream->relation), 1,
										&column, &operator, &collation,
										&nulls_first, maintenance_work_mem,
										NULL, TUPLESORT_NONE);
	scan = table_beginscan(stream->relation, round->scan, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_unpublished(stream->outbox, slot, round))
			tuplesort_puttupleslot(stream->sort, slot);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	tuplesort_performsort(stream->sort);
}

static void
next_row(RowStream *stream)
{
	bool		isnull;
	Datum		value;

	stream->id = NULL;
	if (!tuplesort_gettupleslot(stream->sort, true, false, stream->slot, NULL))
		return;
	value = slot_getattr(stream->slot, stream->outbox->columns[EV_COLUMN_ID],
						 &isnull);
	stream->id = isnull ? pstrdup("") : TextDatumGetCString(value);
}

/* Opens a table that is locked already; what cannot be read is an error. */
static void
open_stream(RowStream *stream, Relation relation, const Round *round)
{
	stream->relation = relation;
	stream->outbox = ev_outbox_find(relation);
	if (stream->outbox == NULL || stream->outbox->problem != NULL ||
		relation->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table \"%s\" cannot be read as an outbox: %s",
						RelationGetRelationName(relation),
						stream->outbox && stream->outbox->problem ?
						stream->outbox->problem : "it is not an ordinary table")));
	stream->slot = MakeSingleTupleTableSlot(RelationGetDescr(relation),
											&TTSOpsMinimalTuple);
	sort_rows(stream, round);
	next_row(stream);
}

static void
close_stream(RowStream *stream)
{
	ExecDropSingleTupleTableSlot(stream->slot);
	tuplesort_end(stream->sort);
	table_close(stream->relation, AccessShareLock);
}

/* The stream whose row has the smallest id; NULL: all are at their ends. */
static RowStream *
first_stream(RowStream *streams, int count)
{
	RowStream  *first = NULL;

	for (int i = 0; i < count; i++)
	{
		if (streams[i].id != NULL &&
			(first == NULL || strcmp(streams[i].id, first->id) < 0))
			first = &streams[i];
	}
	return first;
}

/* Hands one row to the publisher; true if it was a message. */
static bool
send_row(RowStream *stream, const EvSink *sink)
{
	EvOrigin	origin = {InvalidXLogRecPtr, InvalidTransactionId, 0};
	bool		should_free;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(stream->slot, false, &should_free);
	EvRow		row;
	EvRowKind	kind = ev_row_read(stream->outbox, stream->relation, tuple,
								   &row);

	origin.commit_time = GetCurrentTimestamp();
	if (kind == EV_ROW_PUBLISHED)
		return false;
	if (kind == EV_ROW_MESSAGE)
		sink->message(&origin, &row.message);
	else
		sink->malformed(&origin, &row.message, row.name, row.reason);
	sink->commit(&origin);
	return true;
}

/* Sends the rows of all streams, by id.  Returns their number. */
static uint64
merge_streams(RowStream *streams, int count, const EvSink *sink)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "eventuate recovered row",
													  ALLOCSET_DEFAULT_SIZES);
	uint64		sent = 0;
	RowStream  *stream;

	while ((stream = first_stream(streams, count)) != NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		if (send_row(stream, sink))
			sent++;
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(row_context);
		pfree(stream->id);
		next_row(stream);
	}
	MemoryContextDelete(row_context);
	return sent;
}

/*
 * Waits until standbys have everything that a snapshot taken before can see:
 * a transaction may be visible here without having waited for them.
 */
static void
wait_for_standbys(const EvRecoveryHost *host)
{
	XLogRecPtr	flushed;

	XLogFlush(ev_horizon_inserted());
	flushed = GetFlushRecPtr(NULL);
	while (ev_horizon(NULL) < flushed)
	{
		host->held_back();
		host->wait();
	}
}

/* The outboxes, locked: from now on nobody rewrites them. */
static List *
lock_outboxes(void)
{
	List	   *relations = NIL;
	ListCell   *cell;

	foreach(cell, labelled_tables())
	{
		Relation	relation = try_relation_open(lfirst_oid(cell), AccessShareLock);

		if (relation != NULL)
			relations = lappend(relations, relation);
	}
	return relations;
}

/*
 * Sends the rows of a round.  They are found with a snapshot taken after the
 * tables were locked: after a rewrite rows cannot be seen by an older one.
 * What they belong to is told by their txid alone.
 */
static uint64
send_rows(const EvRecoveryHost *host, List *relations, Round *round)
{
	RowStream  *streams = palloc0(sizeof(RowStream) * Max(list_length(relations), 1));
	ListCell   *cell;
	int			count = 0;
	uint64		sent;

	round->scan = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(round->scan);
	wait_for_standbys(host);
	foreach(cell, relations)
		open_stream(&streams[count++], (Relation) lfirst(cell), round);
	sent = merge_streams(streams, count, host->sink);
	for (int i = 0; i < count; i++)
		close_stream(&streams[i]);
	PopActiveSnapshot();
	UnregisterSnapshot(round->scan);
	return sent;
}

/* One round without a slot.  Replaces *known; returns what was sent. */
static uint64
run_round(const EvRecoveryHost *host, Datum *known)
{
	Round		round = {.known = *known};
	List	   *relations;
	uint64		sent;

	StartTransactionCommand();
	InvalidateSystemCaches();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	relations = lock_outboxes();
	round.now = ev_progress_transaction_snapshot();
	sent = send_rows(host, relations, &round);
	CommitTransactionCommand();
	host->drain();
	if (sent > 0)
		ev_progress_store(round.now, 0);
	pfree(DatumGetPointer(*known));
	*known = round.now;
	return sent;
}

/*
 * Makes a slot consistent; rounds go on while it has to wait.  It begins again
 * rather than hold back too much WAL: an orphaned prepared transaction can
 * make it wait for ever.
 */
static uint64
wait_for_slot(const EvRecoveryHost *host, Datum *known)
{
	uint64		sent = 0;
	TimestampTz next_round = GetCurrentTimestamp();
	TransactionId blocker;

	ev_slot_begin_birth();
	while (!ev_slot_birth_step(&blocker))
	{
		TimestampTz start = GetCurrentTimestamp();

		host->blocked(blocker);
		if (ev_wal_limit_exceeded())
			ev_slot_begin_birth_again();
		if (start >= next_round)
		{
			sent += run_round(host, known);
			next_round = GetCurrentTimestamp();
			next_round += Max(ROUND_INTERVAL * INT64CONST(1000),
							  (next_round - start) * ROUND_SHARE);
		}
		host->wait();
	}
	return sent;
}

/* The last round: what the slot's own first snapshot sees. */
static uint64
run_last_round(const EvRecoveryHost *host, Datum known)
{
	Round		round = {.known = known};
	TimeLineID	timeline;
	uint64		sent;

	StartTransactionCommand();
	InvalidateSystemCaches();
	ev_slot_import_snapshot(host->wait);
	round.now = ev_progress_transaction_snapshot();
	sent = send_rows(host, lock_outboxes(), &round);
	CommitTransactionCommand();
	host->drain();
	ev_horizon(&timeline);
	while (!ev_progress_store(round.now, timeline))
		host->wait();
	ev_slot_finish_birth();
	return sent;
}

/*
 * Publishes everything that "published" does not see and leaves a slot that
 * decoding can go on from.  Takes over "published".  Kafka must be reachable;
 * if it goes away meanwhile, this waits.
 */
void
ev_recovery_run(const EvRecoveryHost *host, Datum published)
{
	const char *from = DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
														   published));
	uint64		total = 0;
	uint64		sent;

	do
	{
		sent = run_round(host, &published);
		total += sent;
	} while (sent >= SHORT_ROUND);
	total += wait_for_slot(host, &published);
	total += run_last_round(host, published);
	if (total > 0)
		ereport(LOG,
				(errmsg("published %llu messages from the tables",
						(unsigned long long) total),
				 errdetail("They were committed after snapshot %s and before replication slot \"%s\" began; some of them may have been published before.",
						   from, ev_slot_name(MyDatabaseId))));
}
