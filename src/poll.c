/*-------------------------------------------------------------------------
 *
 * poll.c
 *	  Rows of an outbox that are found by asking for them.
 *
 * What to publish is told by the rows themselves: those whose column
 * "published" is 0, or, in a table that has no such column, all that are
 * there.  No position is remembered, so a row that is committed late, with an
 * id smaller than others that are published already, is found like any other.
 *
 * A batch takes two transactions.  The first reads rows in the order of their
 * ids and copies them into eventuate.record, where the publisher finds them.
 * The second, for which the caller waits until Kafka has acknowledged the
 * copies, marks the rows as published, or deletes them.  Rows that are marked
 * are deleted in the end if the label says after how long.
 *
 * Promises: a row is marked only when its record is acknowledged; a crash
 * between the two transactions sends a batch again and loses nothing.  The
 * table is read and written as its owner, with the owner's user mappings, in
 * a context from which no code of the owner's gets back to us.  Nothing takes
 * longer than TIMEOUT.  A batch takes no more memory than MAX_SIZE and a row.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "collect.h"
#include "copy_record.h"
#include "dead_letter.h"
#include "outbox.h"
#include "own_table.h"
#include "owner.h"
#include "poll.h"
#include "row.h"
#include "shared_outbox.h"

/* In ms: no statement takes longer, whatever has become of a remote server. */
#define TIMEOUT 30000

/* Rows in a batch, at most, and in bytes; but one row always fits. */
#define MAX_ROWS 1000
#define MAX_SIZE (16 * 1024 * 1024)

/* A table that is being read or marked. */
typedef struct Polled
{
	Relation	relation;
	const EvOutbox *outbox;
	char	   *name;			/* qualified and quoted */
	char	   *key;			/* quoted names of columns; ... */
	char	   *published;		/* ... NULL: the table has none */
} Polled;

/* For a batch that is used for as long as the process lasts. */
void
ev_poll_init(EvBatch *batch)
{
	memset(batch, 0, sizeof(EvBatch));
	batch->context = AllocSetContextCreate(TopMemoryContext, "eventuate batch",
										   ALLOCSET_DEFAULT_SIZES);
	batch->limit = 1;
}

/*
 * Is the table an outbox that is to be polled?  Says in ms how often, and how
 * long marked rows stay (-1: for ever).  Not in a transaction.
 */
bool
ev_poll_is_wanted(Oid relid, int64 *interval, int64 *retention)
{
	Relation	relation;
	const EvOutbox *outbox = NULL;
	bool		wanted = false;

	StartTransactionCommand();
	if (OidIsValid(get_extension_oid("eventuate", true)) &&
		ev_outbox_is_polled(relid))
	{
		relation = try_relation_open(relid, AccessShareLock);
		if (relation != NULL)
		{
			outbox = ev_outbox_find(relation);
			wanted = outbox != NULL;
			if (wanted)
			{
				*interval = outbox->label.poll_interval;
				*retention = ev_label_retention_ms(&outbox->label);
			}
			relation_close(relation, AccessShareLock);
		}
	}
	CommitTransactionCommand();
	return wanted;
}

static char *
column_name(const Polled *polled, AttrNumber number)
{
	return number == 0 ? NULL :
		pstrdup(quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(polled->relation),
													   number - 1)->attname)));
}

/* The column that tells rows apart. */
static EvColumn
key_column(const EvOutbox *outbox)
{
	return outbox->columns[EV_COLUMN_DBID] != 0 ? EV_COLUMN_DBID : EV_COLUMN_ID;
}

/* Locks the table and finds out what it is made of.  Throws if it cannot be. */
static void
open_table(Oid relid, Polled *polled)
{
	const EvOutbox *outbox;

	polled->relation = relation_open(relid, AccessShareLock);
	polled->outbox = outbox = ev_outbox_find(polled->relation);
	if (outbox == NULL || outbox->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" cannot be polled: %s",
						RelationGetRelationName(polled->relation),
						outbox ? outbox->problem : "it is not attached")));
	polled->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(polled->relation)),
											  RelationGetRelationName(polled->relation));
	polled->key = column_name(polled, outbox->columns[key_column(outbox)]);
	polled->published = column_name(polled, outbox->columns[EV_COLUMN_PUBLISHED]);
	if (polled->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" cannot be polled: it has no column for the id",
						RelationGetRelationName(polled->relation))));
}

/* Runs a command as the table's owner, within the time limit. */
static void
run_as_owner(const Polled *polled, const EvCommand *command, int expected)
{
	EvOwner		saved;
	int			result;

	ev_owner_assume(polled->relation->rd_rel->relowner, &saved);
	enable_timeout_after(STATEMENT_TIMEOUT, TIMEOUT);
	result = ev_own_execute_on(RelationGetRelid(polled->relation), command);
	disable_timeout(STATEMENT_TIMEOUT, false);
	ev_owner_resume(&saved);
	if (result != expected)
		elog(ERROR, "could not execute \"%s\": %s", command->text,
			 SPI_result_code_string(result));
}

/* The same for a command with one parameter. */
static void
run_with(const Polled *polled, const char *text, Oid type, Datum value,
		 int expected)
{
	EvCommand	command = {.text = text,.count = 1,.types = &type,.values = &value};

	run_as_owner(polled, &command, expected);
}

static void
begin(void)
{
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end(void)
{
	PopActiveSnapshot();
	SPI_finish();

	/* A remote transaction is committed here, too. */
	enable_timeout_after(STATEMENT_TIMEOUT, TIMEOUT);
	CommitTransactionCommand();
	disable_timeout(STATEMENT_TIMEOUT, false);
}

/* A row that cannot be a message, with what could be read of it. */
static void
bury(const EvRow *row)
{
	EvOrigin	origin = {0};
	EvSpooled	refused = {.message = row->message};

	refused.error = psprintf("%s cannot be published: %s", row->name, row->reason);
	refused = ev_dead_letter_storable(&refused);
	ev_dead_letter_store(&refused, &origin, 0, 0);
}

/* Copies the rows, as the owner of eventuate.record. */
static void
copy_rows(const Polled *polled, const EvCollection *found, EvBatch *batch)
{
	EvOutbox	outbox = *polled->outbox;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "eventuate polled row",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	EvOwner		saved;

	ev_outbox_map_columns(&outbox, found->desc);
	for (int i = 0; i < found->count; i++)
	{
		MemoryContext row_context;
		EvRow		row;
		EvRowKind	kind;

		CHECK_FOR_INTERRUPTS();
		row_context = AllocSetContextCreate(context, "eventuate polled row",
											ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(row_context);
		kind = ev_row_read(&outbox, RelationGetRelationName(polled->relation),
						   found->desc, found->rows[i], &row);
		if (kind == EV_ROW_MALFORMED)
		{
			bury(&row);
			batch->malformed++;
			ev_shared_outbox_count_malformed(outbox.relid, row.reason);
		}
		else if (kind == EV_ROW_MESSAGE)
		{
			ev_owner_assume(ev_copy_owner(), &saved);
			ev_copy_record(&row.message);
			ev_owner_resume(&saved);
		}
		MemoryContextSwitchTo(context);
		MemoryContextDelete(row_context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/* Keeps what tells these rows apart from others. */
static void
keep_keys(const Polled *polled, TupleDesc desc, HeapTuple *rows, int count,
		  EvBatch *batch)
{
	AttrNumber	number = SPI_fnumber(desc, NameStr(TupleDescAttr(RelationGetDescr(polled->relation), polled->outbox->columns[key_column(polled->outbox)] - 1)->attname));
	Oid			type = SPI_gettypeid(desc, number);
	Datum	   *keys = palloc(sizeof(Datum) * count);
	int16		length;
	bool		by_value;
	char		align;
	bool		isnull;
	MemoryContext old_context;

	for (int i = 0; i < count; i++)
		keys[i] = SPI_getbinval(rows[i], desc, number, &isnull);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	batch->keys_type = get_array_type(type);
	old_context = MemoryContextSwitchTo(batch->context);
	batch->keys = PointerGetDatum(construct_array(keys, count, type,
												  length, by_value, align));
	MemoryContextSwitchTo(old_context);
}

/*
 * How many rows the next batch may have, after one of so many at most.  Foreign
 * servers send rows by the hundred, whatever we have room for; so we ask for
 * ever more, from one on, as long as they are small.
 */
static int
next_limit(int limit, const EvCollection *found)
{
	size_t		average;

	if (found->count == 0)
		return limit;
	average = Max(found->size / found->count, 1);
	if (found->count == limit)
		limit = Min(limit * 2, MAX_ROWS);
	return Max(Min(limit, MAX_SIZE / average), 1);
}

/*
 * Copies the rows that come first of those that are not published, and keeps
 * in the batch, which is empty, what to do once that is acknowledged.  Not in
 * a transaction.
 */
void
ev_poll_copy(Oid relid, EvBatch *batch)
{
	Polled		polled;
	EvCollection found;
	EvCommand	command = {.receiver = &found.receiver};
	int			limit = batch->limit;

	Assert(batch->count == 0);
	MemoryContextReset(batch->context);
	batch->malformed = 0;

	/* Should it fail, for want of memory say, the next one is small. */
	batch->limit = 1;
	begin();
	open_table(relid, &polled);
	ev_collect_init(&found, MAX_SIZE);
	command.text = psprintf("SELECT * FROM %s WHERE %s IS NOT NULL%s%s%s ORDER BY %s LIMIT %d",
							polled.name, polled.key,
							polled.published ? " AND " : "",
							polled.published ? polled.published : "",
							polled.published ? " = 0" : "",
							polled.key, limit);
	run_as_owner(&polled, &command, SPI_OK_SELECT);
	if (found.count > 0)
	{
		keep_keys(&polled, found.desc, found.rows, found.count, batch);
		copy_rows(&polled, &found, batch);
	}
	relation_close(polled.relation, NoLock);
	end();
	batch->count = found.count;
	batch->full = found.count == limit || found.size >= MAX_SIZE;
	batch->end_lsn = XactLastCommitEnd;
	batch->limit = next_limit(limit, &found);
}

/*
 * Marks the rows of a batch as published, or deletes them: Kafka has
 * acknowledged them.  The batch is empty then.  Not in a transaction.
 */
void
ev_poll_mark(Oid relid, EvBatch *batch)
{
	Polled		polled;
	char	   *command;

	begin();
	open_table(relid, &polled);
	command = polled.published ?
		psprintf("UPDATE %s SET %s = 1 WHERE %s = 0 AND %s = ANY ($1)",
				 polled.name, polled.published, polled.published, polled.key) :
		psprintf("DELETE FROM %s WHERE %s = ANY ($1)", polled.name, polled.key);
	run_with(&polled, command, batch->keys_type, batch->keys,
			 polled.published ? SPI_OK_UPDATE : SPI_OK_DELETE);
	relation_close(polled.relation, NoLock);
	end();
	ev_shared_outbox_count(relid, batch->count - batch->malformed,
						   GetCurrentTimestamp());
	batch->count = 0;
}

/*
 * The column that tells how old a row is, quoted, and what it has to be below
 * for a row to be older than its retention.
 */
static char *
age_column(const Polled *polled, Oid *type, Datum *limit)
{
	TupleDesc	desc = RelationGetDescr(polled->relation);
	AttrNumber	number = ev_outbox_age_column(polled->outbox, desc);
	TimestampTz time = GetCurrentTimestamp() -
	ev_label_retention_ms(&polled->outbox->label) * 1000;

	if (number == 0 || polled->published == NULL)
		return NULL;
	*type = getBaseType(TupleDescAttr(desc, number - 1)->atttypid);
	*limit = *type == INT8OID ? Int64GetDatum(ev_epoch_ms(time)) :
		TimestampTzGetDatum(time);
	return column_name(polled, number);
}

/*
 * Deletes rows that are marked and older than their retention; nothing may be
 * in the batch.  True: there may be more.  Not in a transaction.
 */
bool
ev_poll_clean(Oid relid, EvBatch *batch)
{
	Polled		polled;
	char	   *age;
	Oid			type;
	Datum		limit;
	int			count = 0;

	Assert(batch->count == 0);
	MemoryContextReset(batch->context);
	begin();
	open_table(relid, &polled);
	age = age_column(&polled, &type, &limit);
	if (age != NULL)
	{
		run_with(&polled, psprintf("SELECT %s FROM %s WHERE %s IS NOT NULL AND %s = 1 AND %s < $1 LIMIT %d",
								   polled.key, polled.name, polled.key,
								   polled.published, age, MAX_ROWS),
				 type, limit, SPI_OK_SELECT);
		count = SPI_processed;
	}
	if (count > 0)
	{
		keep_keys(&polled, SPI_tuptable->tupdesc, SPI_tuptable->vals, count, batch);
		run_with(&polled, psprintf("DELETE FROM %s WHERE %s = 1 AND %s = ANY ($1)",
								   polled.name, polled.published, polled.key),
				 batch->keys_type, batch->keys, SPI_OK_DELETE);
	}
	relation_close(polled.relation, NoLock);
	end();
	return count == MAX_ROWS;
}
