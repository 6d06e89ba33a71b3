/*-------------------------------------------------------------------------
 *
 * database.c
 *	  Commands on databases and on the extension itself.
 *
 * DROP, RENAME, SET TABLESPACE and copying of a database fail while anybody
 * is connected to it, and nothing asks a worker to leave.  So before such a
 * command runs we ask ours: a hold in shared memory makes our workers go and
 * keeps the launcher from starting others.  The hold ends with the command,
 * or with the life of its backend.  Only a command that its user may give has
 * that effect.
 *
 * Behind SET TABLESPACE what was in WAL before cannot be decoded: so what there
 * is is published before, where that takes no time, and the publisher goes on
 * from the tables and another slot where it is needed (slot.c).
 *
 * DROP EXTENSION without CASCADE is refused while messages are unpublished.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "database.h"
#include "horizon.h"
#include "own_table.h"
#include "shared.h"
#include "shared_outbox.h"

/* How long, in ms, a command waits for our processes. */
#define WAIT_LIMIT 5000
#define WAIT_STEP 10

static ProcessUtility_hook_type prev_process_utility = NULL;

/* The database that a command needs for itself, or NULL. */
static const char *
wanted_database(Node *statement)
{
	ListCell   *cell;

	if (IsA(statement, DropdbStmt))
		return ((DropdbStmt *) statement)->dbname;
	if (IsA(statement, RenameStmt) &&
		((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
		return ((RenameStmt *) statement)->subname;
	if (IsA(statement, AlterDatabaseStmt))
	{
		foreach(cell, ((AlterDatabaseStmt *) statement)->options)
		{
			if (strcmp(((DefElem *) lfirst(cell))->defname, "tablespace") == 0)
				return ((AlterDatabaseStmt *) statement)->dbname;
		}
	}
	if (IsA(statement, CreatedbStmt))
	{
		foreach(cell, ((CreatedbStmt *) statement)->options)
		{
			DefElem    *option = (DefElem *) lfirst(cell);

			if (strcmp(option->defname, "template") == 0 && option->arg != NULL)
				return defGetString(option);
		}
	}
	return NULL;
}

/* The entry of the database that is to be held, or NULL. */
static EvDatabase *
entry_to_hold(Node *statement)
{
	const char *name = wanted_database(statement);
	Oid			datid;

	if (name == NULL)
		return NULL;
	datid = get_database_oid(name, true);
	if (!OidIsValid(datid) ||
		!ev_database_ownercheck_compat(datid, GetUserId()))
		return NULL;
	return ev_shared_find(datid);
}

static void
wait_a_little(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 WAIT_STEP, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Takes the hold if nobody has it; true if it is ours. */
static bool
try_hold(EvDatabase *entry)
{
	bool		ours;

	SpinLockAcquire(&entry->mutex);
	if (entry->holder == 0)
		entry->holder = MyProcPid;
	ours = entry->holder == MyProcPid;
	SpinLockRelease(&entry->mutex);
	return ours;
}

static void
release_hold(EvDatabase *entry)
{
	SpinLockAcquire(&entry->mutex);
	if (entry->holder == MyProcPid)
		entry->holder = 0;
	SpinLockRelease(&entry->mutex);
	ev_shared_start_soon(&entry->publisher);
	ev_shared_wake_launcher();
}

static void
end_process(EvWorker *worker)
{
	SpinLockAcquire(&worker->mutex);
	if (worker->pid != 0)
		kill(worker->pid, SIGTERM);
	SpinLockRelease(&worker->mutex);
}

/* Asks all the database's workers to leave; false: it has none. */
static bool
end_workers(EvDatabase *entry)
{
	bool		found = entry->publisher.pid != 0 || entry->housekeeper.pid != 0;
	EvOutboxEntry *outbox;

	ev_shared_wake(&entry->publisher);
	end_process(&entry->housekeeper);
	for (int i = 0; (outbox = ev_shared_outbox_entry(i)) != NULL; i++)
	{
		if (outbox->datid != entry->datid || outbox->poller.pid == 0)
			continue;
		found = true;

		/* It may be waiting for a remote server, deaf to its latch. */
		end_process(&outbox->poller);
	}
	return found;
}

/*
 * Does the database's publisher, if it is at work, get as far as the end of WAL
 * while a command waits?
 */
static bool
everything_is_published(EvDatabase *entry)
{
	XLogRecPtr	end = ev_horizon_inserted();
	EvInstant	start = ev_instant_now();

	/* The publisher reads what is flushed, and the locks are in WAL too. */
	XLogFlush(end);
	while (entry != NULL && entry->publisher.pid != 0 &&
		   (entry->publisher.state == EV_STATE_STREAMING ||
			entry->publisher.state == EV_STATE_CATCHING_UP) &&
		   !ev_instant_passed(start, ev_instant_now(), WAIT_LIMIT))
	{
		XLogRecPtr	published;

		SpinLockAcquire(&entry->mutex);
		published = entry->published_lsn;
		SpinLockRelease(&entry->mutex);
		if (published >= end)
			return true;
		wait_a_little();
	}
	return false;
}

/*
 * Holds the database and waits until our process has left it.  If that takes
 * too long the command is tried all the same, and tells who is connected.
 */
static void
hold_database(EvDatabase *entry)
{
	EvInstant	start = ev_instant_now();

	while (!ev_instant_passed(start, ev_instant_now(), WAIT_LIMIT))
	{
		if (try_hold(entry))
		{
			if (!end_workers(entry))
				break;
		}
		wait_a_little();
	}
}

/* ---------------------------------------------------------------------
 * DROP EXTENSION
 * ---------------------------------------------------------------------
 */

/* Is it DROP EXTENSION eventuate, without CASCADE, by one who may? */
static bool
drops_extension(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	ListCell   *cell;
	Oid			extension;

	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_EXTENSION ||
		drop->behavior == DROP_CASCADE)
		return false;
	extension = get_extension_oid("eventuate", true);
	if (!OidIsValid(extension) ||
		!ev_extension_ownercheck_compat(extension, GetUserId()))
		return false;
	foreach(cell, drop->objects)
	{
		if (strcmp(strVal(lfirst(cell)), "eventuate") == 0)
			return true;
	}
	return false;
}

/* From now on nobody sends; what was sent is committed. */
static void
lock_outbox(const char *table)
{
	Oid			schema = get_namespace_oid("eventuate", true);
	Oid			relid = get_relname_relid(table, schema);

	if (OidIsValid(relid))
		LockRelationOid(relid, AccessExclusiveLock);
}

/* Does a table of ours have rows that may not be published yet? */
static bool
has_unpublished_rows(const char *query)
{
	EvCommand	command = {query};
	bool		found;
	bool		isnull;

	command.read_only = true;
	SPI_connect();
	if (ev_own_execute(&command) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not look for unpublished messages");
	found = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return found;
}

/* Throws if messages would be lost with the extension. */
static void
refuse_loss(void)
{
	lock_outbox("message");
	lock_outbox("record");
	if (everything_is_published(ev_shared_find(MyDatabaseId)))
		return;
	if ((OidIsValid(ev_own_table("message")) &&
		 has_unpublished_rows("SELECT EXISTS (SELECT FROM eventuate.message AS m, eventuate.progress AS p"
							  " WHERE m.published OPERATOR(pg_catalog.=) 0 AND NOT pg_catalog.pg_visible_in_snapshot(m.txid, p.snapshot))")) ||
		(OidIsValid(ev_own_table("record")) &&
		 has_unpublished_rows("SELECT EXISTS (SELECT FROM eventuate.record AS r, eventuate.progress AS p"
							  " WHERE NOT pg_catalog.pg_visible_in_snapshot(r.txid, p.snapshot))")))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop extension eventuate because it has unpublished messages"),
				 errdetail("Messages are in its tables that Kafka may not have acknowledged."),
				 errhint("Wait until they are published, or use DROP EXTENSION eventuate CASCADE to lose them.")));
}

/* ---------------------------------------------------------------------
 * The hook
 * ---------------------------------------------------------------------
 */

static void
run_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *dest,
			QueryCompletion *completion)
{
	if (prev_process_utility)
		prev_process_utility(statement, query, read_only_tree, context, params,
							 environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context,
								params, environment, dest, completion);
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	EvDatabase *entry = entry_to_hold(statement->utilityStmt);

	if (drops_extension(statement->utilityStmt))
		refuse_loss();
	if (entry == NULL)
		run_utility(statement, query, read_only_tree, context, params,
					environment, dest, completion);
	else
	{
		PG_TRY();
		{
			/* What is in WAL cannot be read anymore behind SET TABLESPACE. */
			if (IsA(statement->utilityStmt, AlterDatabaseStmt))
				(void) everything_is_published(entry);
			hold_database(entry);
			run_utility(statement, query, read_only_tree, context, params,
						environment, dest, completion);
		}
		PG_FINALLY();
		{
			release_hold(entry);
		}
		PG_END_TRY();
	}

	/* A copied database may bring the extension with it. */
	if (IsA(statement->utilityStmt, CreatedbStmt))
		ev_shared_wake_launcher();
}

/* Called once, by _PG_init while preloading. */
void
ev_database_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
