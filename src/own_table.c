/*-------------------------------------------------------------------------
 *
 * own_table.c
 *	  SQL on tables of ours, where others may rename and create.
 *
 * Schema "eventuate" may be older than the extension and belong to anybody.
 * Its owner can rename it at any time and make another of that name, with
 * tables, views, rules and triggers in it; and most of what we do there we do
 * as a superuser.
 *
 * Promises: a command that runs here touches no other tables than ours, or the
 * one that it is meant for, whatever their names become meanwhile.  Names are
 * looked up once, when the command is analysed, and what they stand for is
 * checked before anything else is done with it: before rules are applied,
 * defaults filled in or anything is planned.  No lock is needed for that, so
 * nobody can keep us waiting with one.
 *
 * Nothing here survives a transaction.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "own_table.h"

static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;

/* Is the next command that is analysed one of ours?  On which table only? */
static bool expected = false;
static Oid	expected_relid = InvalidOid;

/* Is it an ordinary table that came with the extension? */
static bool
is_own(Oid relid)
{
	Oid			extension = get_extension_oid("eventuate", true);

	return OidIsValid(extension) &&
		get_rel_relkind(relid) == RELKIND_RELATION &&
		getExtensionOfObject(RelationRelationId, relid) == extension;
}

/* Throws if somebody could attach code to the table that we would run. */
static void
check_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (!superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" of extension \"eventuate\" must belong to a superuser",
						get_rel_name(relid)),
				 errhint("Use ALTER TABLE ... OWNER TO.")));
}

/*
 * The table of schema "eventuate" that has the name and came with the
 * extension; InvalidOid if there is none.
 */
Oid
ev_own_table(const char *name)
{
	Oid			schema = get_namespace_oid("eventuate", true);
	Oid			relid;

	if (!OidIsValid(schema))
		return InvalidOid;
	relid = get_relname_relid(name, schema);
	return OidIsValid(relid) && is_own(relid) ? relid : InvalidOid;
}

static void
check_table(Oid relid)
{
	if (OidIsValid(expected_relid))
	{
		if (relid != expected_relid)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("table \"%s\" was replaced while a row was inserted",
							get_rel_name(relid))));
		return;
	}
	if (!is_own(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s.%s\" is not the table of extension \"eventuate\"",
						get_namespace_name(get_rel_namespace(relid)),
						get_rel_name(relid)),
				 errdetail("Somebody has put it in that table's place.")));
	check_owner(relid);
}

static bool
check_tables(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION)
			check_table(entry->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, check_tables, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, check_tables, context);
}

/* post_parse_analyze_hook: names have become oids, nothing else is done. */
static void
check_query(ParseState *state, Query *query, JumbleState *jumble)
{
	if (expected)
	{
		expected = false;
		check_tables((Node *) query, NULL);
	}
	if (prev_post_parse_analyze)
		prev_post_parse_analyze(state, query, jumble);
}

static void
register_hook(void)
{
	static bool registered = false;

	if (registered)
		return;
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = check_query;
	registered = true;
}

static int
execute(const EvCommand *command)
{
	SPIExecuteOptions options = {.read_only = command->read_only,
	.dest = command->receiver};

	if (command->receiver == NULL)
		return SPI_execute_with_args(command->text, command->count,
									 unconstify(Oid *, command->types),
									 command->values, command->nulls,
									 command->read_only, 0);
	Assert(command->count == 0);
	return SPI_execute_extended(command->text, &options);
}

/*
 * Runs a command that may touch no table but relid, on which the caller holds
 * a lock: or, if that is InvalidOid, none but ours.  Returns SPI's result.
 *
 * A plan that is used once is never analysed again (a prepared one is, by name,
 * whenever it has to be), so once is enough to check it.
 */
int
ev_own_execute_on(Oid relid, const EvCommand *command)
{
	int			result;

	register_hook();
	expected_relid = relid;
	expected = true;
	PG_TRY();
	{
		result = execute(command);
		if (expected)
			elog(ERROR, "command \"%s\" was not checked", command->text);
	}
	PG_FINALLY();
	{
		expected = false;
	}
	PG_END_TRY();
	return result;
}

/*
 * Runs a command on tables that came with the extension and belong to a
 * superuser; throws if its names stand for others.  SPI must be connected.
 */
int
ev_own_execute(const EvCommand *command)
{
	return ev_own_execute_on(InvalidOid, command);
}
