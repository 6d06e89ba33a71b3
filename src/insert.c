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
 * Owns a description of each table, which lasts as long as the session and
 * which relcache invalidations discard.  Nothing is held from one call to the
 * next, neither relation nor executor state: DDL in the same transaction finds
 * the table unused, and an aborted subtransaction leaves nothing behind.
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
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "insert.h"
#include "outbox.h"
#include "own_table.h"
#include "settings.h"
#include "shared.h"
#include "wal_message.h"

/* What this session knows of a table. */
typedef struct Target
{
	const char *name;
	Oid			relid;			/* InvalidOid: to be described again */
	bool		direct;			/* rows may take the short way */
	bool		planned;		/* plan is that of this description */
	AttrNumber	columns[EV_MAX_FIELDS]; /* by field; 0: none */
	char	   *command;		/* what plan was made of */
	SPIPlanPtr	plan;
} Target;

static Target targets[] = {
	[EV_TABLE_MESSAGE] = {"message"},
	[EV_TABLE_RECORD] = {"record"},
};

/* Relcache callback: what we know of the table may be no longer true. */
static void
forget_target(Datum arg, Oid relid)
{
	for (int i = 0; i < lengthof(targets); i++)
	{
		if (!OidIsValid(relid) || targets[i].relid == relid)
			targets[i].relid = InvalidOid;
	}
}

/*
 * Opens the table for the current user, who must be allowed to INSERT.  The
 * lock is kept until the transaction ends, as that of any INSERT.
 */
static Relation
open_target(const Target *target)
{
	RangeVar   *name = makeRangeVar("eventuate", unconstify(char *, target->name), -1);
	Relation	relation = table_openrv_extended(name, RowExclusiveLock, true);

	pfree(name);
	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"eventuate.%s\" does not exist", target->name),
				 errdetail("It belongs to the extension \"eventuate\", which is not whole."),
				 errhint("Drop the extension and create it again.")));
	if (pg_class_aclcheck(RelationGetRelid(relation), GetUserId(),
						  ACL_INSERT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", target->name),
				 errdetail("Sending needs the privilege to INSERT into table \"eventuate.%s\".",
						   target->name),
				 errhint("The owner of the table can run: GRANT INSERT ON eventuate.%s TO %s;",
						 target->name,
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
	return relation;
}

/* ---------------------------------------------------------------------
 * Descriptions
 * ---------------------------------------------------------------------
 */

/* The field that a column holds, or -1. */
static int
find_field(const char *column, const EvField *fields, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(fields[i].name, column) == 0)
			return i;
	}
	return -1;
}

/* Can the field's value be stored in the column just as it is? */
static bool
fits_directly(const EvField *field, Form_pg_attribute column)
{
	if (column->attgenerated != '\0' || column->attidentity != '\0')
		return false;
	if (field->use == EV_FIELD_DEFAULT && column->atthasdef)
		return false;
	if (field->type == TEXTOID && column->atttypid == VARCHAROID)
		return true;
	return field->type == column->atttypid && column->atttypmod < 0;
}

/*
 * Fills in what the table is like.  The relid comes first: an invalidation
 * that arrives meanwhile then takes effect at the next call.
 */
static void
describe_target(Target *target, Relation relation, const EvField *fields,
				int count)
{
	TupleDesc	desc = RelationGetDescr(relation);

	Assert(count <= EV_MAX_FIELDS);
	target->relid = RelationGetRelid(relation);
	target->planned = false;
	memset(target->columns, 0, sizeof(target->columns));
	target->direct = relation->rd_rel->relkind == RELKIND_RELATION &&
		!relation->rd_rel->relispartition &&
		relation->trigdesc == NULL && relation->rd_rules == NULL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		int			field = -1;

		if (column->attisdropped)
			continue;
		field = find_field(NameStr(column->attname), fields, count);
		if (field >= 0)
			target->columns[field] = column->attnum;
		if (field < 0 || !fits_directly(&fields[field], column))
			target->direct = false;
	}
}

/*
 * Throws if nobody would publish the row.  A view may have outboxes behind it,
 * a partition one above.
 */
static void
check_outbox(const Target *target, Relation relation)
{
	char		kind = relation->rd_rel->relkind;

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) ||
		relation->rd_rel->relispartition ||
		ev_outbox_is_attached(RelationGetRelid(relation)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"eventuate.%s\" is not an outbox", target->name),
			 errdetail("What is inserted there would not be published."),
			 target != &targets[EV_TABLE_MESSAGE] ? 0 :
			 errhint("Use SELECT eventuate_attach('eventuate.message', 'eventuate'%s);",
					 get_attnum(RelationGetRelid(relation), "dbid") ==
					 InvalidAttrNumber ? "" : ", outbox_id => ...")));
}

/* Throws if the table has not got what every row needs. */
static void
check_columns(const Target *target, const EvField *fields, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (fields[i].use == EV_FIELD_REQUIRED && target->columns[i] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table \"eventuate.%s\" does not exist",
							fields[i].name, target->name)));
	}
}

/*
 * May this row take the short way?  Row security depends on the user, and a
 * value that may be too long for its varchar on the value.
 */
static bool
row_goes_directly(const Target *target, Relation relation,
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

/* ---------------------------------------------------------------------
 * The short way
 * ---------------------------------------------------------------------
 */

/* Makes the slot hold the row; values are not copied. */
static void
fill_slot(TupleTableSlot *slot, const Target *target, const EvField *fields,
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
insert_directly(const Target *target, Relation relation,
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
insert_command(const Target *target, Relation relation, const EvField *fields,
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
prepare_plan(Target *target, Relation relation, const EvField *fields,
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
insert_through_sql(Target *target, Relation relation, const EvField *fields,
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
insert_through_checked_sql(const Target *target, Relation relation,
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
insert_row(Target *target, Relation relation, const EvField *fields,
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
insert_as_owner(Target *target, Relation relation, const EvField *fields,
				int count)
{
	Oid			user;
	int			context;
	int			nest_level;

	/* An error restores the user as well. */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(relation->rd_rel->relowner,
						   context | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	insert_row(target, relation, fields, count, true);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, context);
}

/*
 * Inserts a row into one of our tables.  Of one table the fields must always
 * be the same ones in the same order; only values and nulls differ.  The
 * caller has made sure that the transaction may write.
 */
void
ev_insert_row(EvTable table, const EvField *fields, int count)
{
	static bool registered = false;
	Target	   *target = &targets[table];
	Relation	relation;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_target, (Datum) 0);
		registered = true;
	}
	relation = open_target(target);
	if (target->relid != RelationGetRelid(relation))
	{
		check_outbox(target, relation);
		describe_target(target, relation, fields, count);
	}
	check_columns(target, fields, count);
	if (superuser() && !superuser_arg(relation->rd_rel->relowner))
		insert_as_owner(target, relation, fields, count);
	else
		insert_row(target, relation, fields, count, superuser());
	table_close(relation, NoLock);
}
