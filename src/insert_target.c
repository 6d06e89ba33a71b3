/*-------------------------------------------------------------------------
 *
 * insert_target.c
 *	  What a session knows of the tables that the functions write to.
 *
 * Owns a description of each table, which lasts as long as the session and
 * which relcache invalidations discard: which column takes which field, and
 * may rows be put there directly?
 *
 * Promises: whoever gets a table from here may INSERT into it, it has what
 * every row needs, and somebody publishes its rows.  Otherwise an error says
 * what is missing, and to whom.
 *
 * Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "insert_target.h"
#include "outbox.h"

static EvTarget targets[] = {
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
open_target(const EvTarget *target)
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
describe_target(EvTarget *target, Relation relation, const EvField *fields,
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
check_outbox(const EvTarget *target, Relation relation)
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
check_columns(const EvTarget *target, const EvField *fields, int count)
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
 * Opens a table, and says what is known of it.  Of one table the fields must
 * always be the same ones in the same order.  Throws if the current user must
 * not insert there, or nobody could read the row.
 */
EvTarget *
ev_insert_open(EvTable table, const EvField *fields, int count, Relation *relation)
{
	static bool registered = false;
	EvTarget   *target = &targets[table];

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_target, (Datum) 0);
		registered = true;
	}
	*relation = open_target(target);
	if (target->relid != RelationGetRelid(*relation))
	{
		check_outbox(target, *relation);
		describe_target(target, *relation, fields, count);
	}
	check_columns(target, fields, count);
	return target;
}
