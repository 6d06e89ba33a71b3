/*-------------------------------------------------------------------------
 *
 * clean.c
 *	  Deleting rows that were published long ago.
 *
 * Only of the tables that the extension made, by eventuate.retention, and of
 * attached ones whose label says how long.  How old a row is, is told by its
 * column creation_time (ms since 1970, or a timestamp), else by that which the
 * label calls "timestamp"; a row where that is null stays.
 *
 * Promises: a row goes only if eventuate.progress knows it to be published: by
 * its txid, or, in a table without one, by its xmin.  Rows go in batches, each
 * a short transaction, by a DELETE like any other, as the table's owner; nobody
 * who holds a lock is waited for longer than lock_timeout.
 *
 * Nothing is kept; a restart begins at the beginning of the table.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "backlog_rows.h"
#include "clean.h"
#include "outbox.h"
#include "own_table.h"
#include "owner.h"
#include "settings.h"
#include "worker.h"

/* Rows that one transaction deletes, and blocks that it looks at. */
#define BATCH_ROWS 10000
#define BATCH_BLOCKS 8192

/* In ms: how soon to look again is a tenth of the retention, but ... */
#define LEAST_INTERVAL 10000

/* One batch: what is to be deleted, and where the next one begins. */
typedef struct Batch
{
	Datum	   *tids;
	int			count;
	BlockNumber next;			/* InvalidBlockNumber: that was all */
	bool		left;			/* was anything left? */
} Batch;

/* ---------------------------------------------------------------------
 * Which tables
 * ---------------------------------------------------------------------
 */

/* How long rows of an outbox stay, in ms; -1: for ever. */
static int64
retention_of(Oid relid, const EvLabel *label)
{
	if (label->reader != EV_READER_WAL || !ev_label_is_attached(label))
		return -1;
	if (ev_own_table(get_rel_name(relid)) == relid)
		return ev_retention < 0 ? -1 : ev_retention * INT64CONST(1000);
	return ev_label_retention_ms(label);
}

/*
 * Adds a table, and its partitions, to the list.  One lock at a time: a command
 * that has the table and wants a partition is not in the way.
 */
static List *
add_table(List *cleanings, Oid relid)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		Relation	relation = try_relation_open(lfirst_oid(cell), AccessShareLock);
		const EvOutbox *outbox;
		int64		retention;

		if (relation == NULL)
			continue;
		outbox = ev_outbox_find(relation);
		retention = outbox == NULL || relation->rd_rel->relkind != RELKIND_RELATION ?
			-1 : retention_of(outbox->relid, &outbox->label);
		if (retention >= 0)
		{
			EvCleaning *cleaning = palloc(sizeof(EvCleaning));

			cleaning->relid = lfirst_oid(cell);
			cleaning->retention = retention;
			cleanings = lappend(cleanings, cleaning);
		}
		relation_close(relation, AccessShareLock);
	}
	return cleanings;
}

/* How soon, in ms, to look for rows to delete again, by their retention. */
int64
ev_clean_interval(int64 retention)
{
	int64		interval = Max(retention / 10, Min(retention, LEAST_INTERVAL));

	return Max(Min(interval, EV_CLEAN_IDLE), 1000);
}

/* The tables that have rows to delete, ever: EvCleaning.  Needs a transaction. */
List *
ev_clean_list(void)
{
	List	   *cleanings = NIL;
	ListCell   *cell;

	foreach(cell, ev_outbox_list())
	{
		char		kind = get_rel_relkind(lfirst_oid(cell));

		if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE)
			cleanings = add_table(cleanings, lfirst_oid(cell));
	}
	return cleanings;
}

/* ---------------------------------------------------------------------
 * Which rows
 * ---------------------------------------------------------------------
 */

/* Looks for rows from a block on, until the batch is full. */
static void
find_rows(Relation relation, Datum published, TimestampTz before,
		  BlockNumber start, Batch *batch)
{
	const EvOutbox *outbox = ev_outbox_find(relation);
	TupleTableSlot *slot;
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);
	BlockNumber end = blocks - start > BATCH_BLOCKS ? start + BATCH_BLOCKS : blocks;
	ItemPointerData from;
	ItemPointerData to;
	TableScanDesc scan;

	batch->next = InvalidBlockNumber;
	if (start >= blocks)
		return;
	ItemPointerSet(&from, start, 0);
	ItemPointerSet(&to, end - 1, PG_UINT16_MAX);
	slot = table_slot_create(relation, NULL);
	scan = table_beginscan_tidrange(relation, GetActiveSnapshot(), &from, &to);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		TimestampTz time;

		CHECK_FOR_INTERRUPTS();
		if (!ev_backlog_row_time(outbox, slot, &time) || time >= before ||
			!ev_backlog_is_published(outbox, slot, published))
		{
			batch->left = true;
			continue;
		}
		if (batch->count == BATCH_ROWS)
		{
			end = ItemPointerGetBlockNumber(&slot->tts_tid);
			break;
		}
		batch->tids[batch->count] = PointerGetDatum(palloc(sizeof(ItemPointerData)));
		ItemPointerCopy(&slot->tts_tid,
						(ItemPointer) DatumGetPointer(batch->tids[batch->count]));
		batch->count++;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	if (end < blocks)
		batch->next = end;
}

/* Deletes the rows of a batch, as the table's owner. */
static void
delete_rows(Relation relation, const Batch *batch)
{
	static const Oid types[] = {TIDARRAYOID};
	Datum		values[1];
	EvOwner		saved;
	EvCommand	command = {.count = 1,.types = types,.values = values};

	values[0] = PointerGetDatum(construct_array(batch->tids, batch->count, TIDOID,
												sizeof(ItemPointerData), false,
												TYPALIGN_SHORT));
	command.text = psprintf("DELETE FROM ONLY %s WHERE ctid = ANY ($1)",
							quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
													   RelationGetRelationName(relation)));
	ev_owner_assume(relation->rd_rel->relowner, &saved);
	if (ev_own_execute_on(RelationGetRelid(relation), &command) != SPI_OK_DELETE)
		elog(ERROR, "could not execute \"%s\"", command.text);
	ev_owner_resume(&saved);
}

/*
 * Locks a table for the deletion of rows, or returns NULL where it is gone.  What
 * it is a partition of comes before it, as in others' commands: a DELETE would
 * lock that only when it has the table already.
 */
static Relation
lock_table(Oid relid)
{
	List	   *ancestors = get_rel_relispartition(relid) ?
	get_partition_ancestors(relid) : NIL;

	for (int i = list_length(ancestors) - 1; i >= 0; i--)
		LockRelationOid(list_nth_oid(ancestors, i), AccessShareLock);
	return try_relation_open(relid, RowExclusiveLock);
}

/* One batch, in a transaction of its own.  Returns where the next begins. */
static BlockNumber
clean_some(const EvCleaning *cleaning, Datum published, BlockNumber start,
		   bool *left)
{
	TimestampTz before = GetCurrentTimestamp() - cleaning->retention * 1000;
	Batch		batch = {.next = InvalidBlockNumber};
	Relation	relation;

	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	relation = lock_table(cleaning->relid);
	if (relation != NULL && ev_outbox_find(relation) != NULL)
	{
		batch.tids = palloc(sizeof(Datum) * BATCH_ROWS);
		find_rows(relation, published, before, start, &batch);
		if (batch.count > 0)
			delete_rows(relation, &batch);
	}
	if (relation != NULL)
		relation_close(relation, NoLock);
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	*left |= batch.left;
	return batch.next;
}

/*
 * Deletes a table's rows that are old enough and that "published" knows to be
 * published.  True: rows are left, which will be older one day.  Not in a
 * transaction.
 */
bool
ev_clean_table(const EvCleaning *cleaning, Datum published)
{
	BlockNumber start = 0;
	bool		left = false;

	do
	{
		ev_worker_check_requests();
		start = clean_some(cleaning, published, start, &left);
	} while (start != InvalidBlockNumber);
	return left;
}
