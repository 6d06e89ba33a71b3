/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  One row into an outbox, with the rights of the current user.
 *
 * Promises what INSERT promises: privileges, row security, constraints,
 * triggers, rules and defaults of the table count, whatever it has become
 * since it was made or adopted.  There are two ways to that.  The short one
 * puts the row into heap and indexes; it is for tables that are just what we
 * know, and for users whom no policy restrains.  Everything else goes through
 * SQL, with all names qualified, so that search_path has no say.  With
 * eventuate.send_mode = wal the short way is shorter still: the row goes into
 * WAL and nowhere else.
 *
 * Where a superuser sends into a table of somebody who is none, the row is
 * inserted as that owner: code that he has attached to his table gains nothing.
 *
 * Nothing is held from one call to the next but plans and what is known of the
 * tables (insert_target.c), neither relation nor executor state: DDL in the same
 * transaction finds the table unused, and an aborted subtransaction leaves
 * nothing behind.
 *
 * Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "insert.h"
#include "insert_target.h"
#include "own_table.h"
#include "owner.h"
#include "settings.h"
#include "shared_commit.h"
#include "wal_message.h"

/* ---------------------------------------------------------------------
 * The short way
 * ---------------------------------------------------------------------
 */

/*
 * May this row take the short way?  Row security depends on the user, and a
 * value that may be too long for its varchar on the value.
 */
static bool
row_goes_directly(const EvTarget *target, Relation relation,
				  const EvField *fields, int count)
{
	Oid			relid = RelationGetRelid(relation);

	if (!target->direct)
		return false;
	if (relation->rd_rel->relrowsecurity &&
		check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		return false;
	for (int i = 0; i < count; i++)
	{
		AttrNumber	attnum = target->columns[i];
		int32		typmod = -1;

		if (attnum != 0)
			typmod = TupleDescAttr(RelationGetDescr(relation), attnum - 1)->atttypmod;
		if (typmod >= 0 && !fields[i].isnull &&
			VARSIZE_ANY_EXHDR(DatumGetPointer(fields[i].value)) > typmod - VARHDRSZ)
			return false;
	}
	return true;
}

/* Makes the slot hold the row; values are not copied. */
static void
fill_slot(TupleTableSlot *slot, const EvTarget *target, const EvField *fields,
		  int count)
{
	ExecClearTuple(slot);
	memset(slot->tts_values, 0,
		   sizeof(Datum) * slot->tts_tupleDescriptor->natts);
	memset(slot->tts_isnull, true,
		   sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < count; i++)
	{
		AttrNumber	attnum = target->columns[i];

		if (attnum == 0 || fields[i].use == EV_FIELD_DEFAULT)
			continue;
		Assert(attnum <= slot->tts_tupleDescriptor->natts);
		slot->tts_values[attnum - 1] = fields[i].value;
		slot->tts_isnull[attnum - 1] = fields[i].isnull;
	}
	ExecStoreVirtualTuple(slot);
}

/* Writes the row to WAL only; its constraints count as if it were stored. */
static void
write_to_wal(EState *estate, ResultRelInfo *result, TupleTableSlot *slot)
{
	Relation	relation = result->ri_RelationDesc;
	HeapTuple	tuple;
	bool		should_free;

	if (relation->rd_att->constr != NULL)
		ExecConstraints(result, slot, estate);
	tuple = ExecFetchSlotHeapTuple(slot, true, &should_free);
	if (HeapTupleHasExternal(tuple))
		tuple = toast_flatten_tuple(tuple, RelationGetDescr(relation));
	ev_shared_note_wal_message(ev_wal_message_write(RelationGetRelid(relation),
													tuple));
}

/*
 * Puts the row into heap and indexes, checking the table's constraints; or
 * into WAL alone, if that is wanted and a slot is there to keep it.
 */
static void
insert_directly(const EvTarget *target, Relation relation,
				const EvField *fields, int count)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext old_context = MemoryContextSwitchTo(estate->es_query_cxt);
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot *slot;

	InitResultRelInfo(result, relation, 0, NULL, 0);
	slot = table_slot_create(relation, &estate->es_tupleTable);
	fill_slot(slot, target, fields, count);
	if (ev_send_mode == EV_SEND_WAL && ev_shared_wal_is_kept())
		write_to_wal(estate, result, slot);
	else
	{
		ExecOpenIndices(result, false);
		ExecSimpleRelationInsert(result, estate, slot);
		ExecCloseIndices(result);
	}
	ExecResetTupleTable(estate->es_tupleTable, false);
	MemoryContextSwitchTo(old_context);
	FreeExecutorState(estate);
}

/* ---------------------------------------------------------------------
 * The way through SQL
 * ---------------------------------------------------------------------
 */

/* The command that inserts a row; field i is its parameter i + 1. */
static char *
insert_command(const EvTarget *target, Relation relation, const EvField *fields,
			   int count)
{
	StringInfoData names;
	StringInfoData values;

	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < count; i++)
	{
		const char *comma = names.len > 0 ? ", " : "";
		AttrNumber	attnum = target->columns[i];
		Oid			type;

		if (attnum == 0 || fields[i].use == EV_FIELD_DEFAULT)
			continue;
		type = TupleDescAttr(RelationGetDescr(relation), attnum - 1)->atttypid;
		appendStringInfo(&names, "%s%s", comma,
						 quote_identifier(fields[i].name));

		/* Text has no assignment cast to json: ask for the type. */
		if (fields[i].type == TEXTOID)
			appendStringInfo(&values, "%sCAST($%d AS %s)", comma, i + 1,
							 format_type_be_qualified(type));
		else
			appendStringInfo(&values, "%s$%d", comma, i + 1);
	}
	return psprintf("INSERT INTO eventuate.%s (%s) VALUES (%s)",
					target->name, names.data, values.data);
}

/*
 * Makes the plan that fits the description.  One that no longer does is not
 * freed: a trigger of the table may have called us, with the plan still being
 * executed.  That costs a little memory for each ALTER TABLE.
 */
static void
prepare_plan(EvTarget *target, Relation relation, const EvField *fields,
			 int count)
{
	char	   *command = insert_command(target, relation, fields, count);
	Oid			types[EV_MAX_FIELDS];
	SPIPlanPtr	plan;

	if (target->command == NULL || strcmp(target->command, command) != 0)
	{
		for (int i = 0; i < count; i++)
			types[i] = fields[i].type;
		plan = SPI_prepare(command, count, types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", command,
				 SPI_result_code_string(SPI_result));
		target->plan = plan;
		target->command = MemoryContextStrdup(TopMemoryContext, command);
	}
	target->planned = true;
}

/*
 * Inserts the row by a command of SQL, planned once a session.  The plan is of
 * no particular role: PostgreSQL checks privileges at each execution and plans
 * again where policies depend on the role.
 */
static void
insert_through_sql(EvTarget *target, Relation relation, const EvField *fields,
				   int count)
{
	Datum		values[EV_MAX_FIELDS];
	char		nulls[EV_MAX_FIELDS];
	int			result;

	for (int i = 0; i < count; i++)
	{
		values[i] = fields[i].value;
		nulls[i] = fields[i].isnull ? 'n' : ' ';
	}
	SPI_connect();
	if (!target->planned)
		prepare_plan(target, relation, fields, count);
	result = SPI_execute_plan(target->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not insert into table \"eventuate.%s\": %s",
			 target->name, SPI_result_code_string(result));
	SPI_finish();
}

/*
 * The same for a superuser, whom the owner of the schema could make run code
 * by putting another table in this one's place.  Planned each time.
 */
static void
insert_through_checked_sql(const EvTarget *target, Relation relation,
						   const EvField *fields, int count)
{
	Oid			types[EV_MAX_FIELDS];
	Datum		values[EV_MAX_FIELDS];
	char		nulls[EV_MAX_FIELDS];
	EvCommand	command = {NULL, count, types, values, nulls};

	for (int i = 0; i < count; i++)
	{
		types[i] = fields[i].type;
		values[i] = fields[i].value;
		nulls[i] = fields[i].isnull ? 'n' : ' ';
	}
	SPI_connect();
	command.text = insert_command(target, relation, fields, count);
	if (ev_own_execute_on(RelationGetRelid(relation), &command) < 0)
		elog(ERROR, "could not insert into table \"eventuate.%s\"",
			 target->name);
	SPI_finish();
}

/* ---------------------------------------------------------------------
 * Whose code runs
 * ---------------------------------------------------------------------
 */

static void
insert_row(EvTarget *target, Relation relation, const EvField *fields,
		   int count, bool as_superuser)
{
	if (row_goes_directly(target, relation, fields, count))
		insert_directly(target, relation, fields, count);
	else if (as_superuser)
		insert_through_checked_sql(target, relation, fields, count);
	else
		insert_through_sql(target, relation, fields, count);
}

/*
 * Inserts the row as the table's owner, who may do nothing else meanwhile:
 * triggers, defaults, checks and indexes of the table are his.
 */
static void
insert_as_owner(EvTarget *target, Relation relation, const EvField *fields,
				int count)
{
	EvOwner		saved;

	ev_owner_assume(relation->rd_rel->relowner, &saved);
	insert_row(target, relation, fields, count, true);
	ev_owner_resume(&saved);
}

/*
 * Inserts a row into one of our tables.  Of one table the fields must always
 * be the same ones in the same order; only values and nulls differ.  The
 * caller has made sure that the transaction may write.
 */
void
ev_insert_row(EvTable table, const EvField *fields, int count)
{
	Relation	relation;
	EvTarget   *target = ev_insert_open(table, fields, count, &relation);

	if (superuser() && !superuser_arg(relation->rd_rel->relowner))
		insert_as_owner(target, relation, fields, count);
	else
		insert_row(target, relation, fields, count, superuser());
	table_close(relation, NoLock);
}
