/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Commands on outbox tables.
 *
 * A label goes with its table.  Somebody who drops eventuate.message and
 * creates it again, or puts another table in its place, means the outbox all
 * the same: senders go by the name.  So whatever becomes eventuate.message or
 * eventuate.record while the extension is installed is labelled; of what cannot
 * be an outbox there is a warning.  For the same reason an outbox stays logged, and
 * so do its partitions: what is written to an unlogged table, or to one of
 * another server, would never be seen.
 *
 * Promises: no command silently makes the tables that senders write to
 * something that nobody publishes.
 *
 * Nothing is kept from command to command, so a restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "outbox.h"
#include "table.h"

/* What senders go by: tables of schema eventuate. */
static const struct
{
	const char *name;
	const char *label;
}			known_tables[] = {
	{"message", "{\"format\": \"eventuate\"}"},
	{"record", "{\"format\": \"raw\", \"columns\": {\"timestamp\": \"record_time\"}}"}
};

static ProcessUtility_hook_type prev_process_utility = NULL;

/* Can the command put a table in another's place? */
static bool
places_table(Node *statement)
{
	return IsA(statement, CreateStmt) || IsA(statement, CreateTableAsStmt) ||
		IsA(statement, RenameStmt) || IsA(statement, AlterObjectSchemaStmt);
}

/* The tables that have the names now; InvalidOid: none. */
static void
find_tables(Oid *relids)
{
	Oid			schema = get_namespace_oid("eventuate", true);

	for (int i = 0; i < lengthof(known_tables); i++)
		relids[i] = OidIsValid(schema) ?
			get_relname_relid(known_tables[i].name, schema) : InvalidOid;
}

/*
 * Labels those that were not there before.  Something else than an ordinary
 * table (a partitioned one, say) may have outboxes behind it.
 */
static void
label_new_tables(const Oid *before)
{
	Oid			after[lengthof(known_tables)];

	CommandCounterIncrement();
	if (!OidIsValid(get_extension_oid("eventuate", true)))
		return;
	find_tables(after);
	for (int i = 0; i < lengthof(known_tables); i++)
	{
		if (!OidIsValid(after[i]) || after[i] == before[i])
			continue;
		if (ev_outbox_is_readable(after[i], EV_READER_WAL))
		{
			ev_outbox_set_label(after[i], known_tables[i].label);
			continue;
		}
		ereport(WARNING,
				(errmsg("\"eventuate.%s\" is not an outbox",
						known_tables[i].name),
				 errdetail("It is not a table that could be read from the write-ahead log."),
				 errhint("Call eventuate_attach() for the tables that its rows go to.")));
	}
}

/* Throws if the command takes an outbox out of WAL. */
static void
refuse_unlogged(AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		Oid			relid;

		if (((AlterTableCmd *) lfirst(cell))->subtype != AT_SetUnLogged)
			continue;
		relid = RangeVarGetRelid(statement->relation, NoLock, true);
		if (OidIsValid(relid) && ev_outbox_needs_wal(relid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" cannot be unlogged because it is an outbox",
							get_rel_name(relid)),
					 errdetail("Messages are published from the write-ahead log.")));
	}
}

/* The table that the command may have made a partition; or NULL. */
static RangeVar *
new_partition(Node *statement)
{
	ListCell   *cell;

	if (IsA(statement, CreateStmt) || IsA(statement, CreateForeignTableStmt))
		return ((CreateStmt *) statement)->partbound ?
			((CreateStmt *) statement)->relation : NULL;
	if (!IsA(statement, AlterTableStmt))
		return NULL;
	foreach(cell, ((AlterTableStmt *) statement)->cmds)
	{
		AlterTableCmd *command = lfirst(cell);

		if (command->subtype == AT_AttachPartition)
			return ((PartitionCmd *) command->def)->name;
	}
	return NULL;
}

/*
 * Throws if rows of an outbox would go to a table that is not in WAL.  The
 * name is that of a table which the command holds locked.
 */
static void
refuse_unreadable(RangeVar *partition)
{
	Oid			relid;
	Oid			unreadable;

	CommandCounterIncrement();
	relid = RangeVarGetRelid(partition, NoLock, true);
	if (!OidIsValid(relid) || !get_rel_relispartition(relid) ||
		!ev_outbox_needs_wal(relid))
		return;
	unreadable = ev_outbox_unreadable_partition(relid);
	if (OidIsValid(unreadable))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be a partition of an outbox",
						get_rel_name(unreadable)),
				 errdetail("Messages are published from the write-ahead log, where foreign and unlogged tables are not.")));
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	ProcessUtility_hook_type run =
	prev_process_utility ? prev_process_utility : standard_ProcessUtility;
	bool		places = places_table(statement->utilityStmt) &&
	!creating_extension;
	RangeVar   *partition = new_partition(statement->utilityStmt);
	Oid			before[lengthof(known_tables)];

	if (IsA(statement->utilityStmt, AlterTableStmt))
		refuse_unlogged((AlterTableStmt *) statement->utilityStmt);
	if (places)
		find_tables(before);
	run(statement, query, read_only_tree, context, params, environment, dest,
		completion);
	if (places)
		label_new_tables(before);
	if (partition != NULL)
		refuse_unreadable(partition);
}

/* Called once, by _PG_init while preloading. */
void
ev_table_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
