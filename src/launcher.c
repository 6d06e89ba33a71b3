/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The background worker that starts the others.
 *
 * It finds the databases that want a publisher and keeps one running for
 * each.  Nobody but a process of a database can see whether the extension is
 * there, so each database is asked once, by a publisher that leaves at once
 * where it has no business; CREATE EXTENSION and sending ask again.
 *
 * A standby has no launcher: there it takes away the slots that are left over
 * from a life as primary and hands over to one that starts at the end of
 * recovery.  Publishers are started by nobody else, not by the postmaster
 * either; each claims its database's entry, so that there are never two.
 *
 * A restart finds running publishers by their entries in shared memory and
 * asks all other databases again.  On a primary it ends with exit code 1, which
 * the postmaster understands as "start me again".
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "launcher.h"
#include "settings.h"
#include "shared.h"
#include "slot.h"
#include "worker.h"

/* All in ms. */
#define SCAN_INTERVAL 10000		/* databases may come without telling us */
#define FIRST_RETRY 500			/* after a failure; doubles up to the last */
#define LAST_RETRY 10000

/* How many databases are asked for the extension at the same time. */
#define MAX_PROBES 4

/* What the launcher knows of a database beyond its entry. */
typedef struct Database
{
	Oid			datid;
	NameData	name;
	bool		allowed;		/* by eventuate.databases */
	bool		asked;			/* a publisher was sent to look */
} Database;

static List *databases = NIL;
static bool short_of_workers = false;

static bool
usable(Form_pg_database database)
{
	return database->datallowconn && !database->datistemplate;
}

static Database *
find_database(List *list, Oid datid)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		Database   *database = (Database *) lfirst(cell);

		if (database->datid == datid)
			return database;
	}
	return NULL;
}

/* One database of the catalog, with what was known of it before. */
static Database *
make_database(HeapTuple tuple)
{
	Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
	Database   *known = find_database(databases, form->oid);
	Database   *database = MemoryContextAllocZero(TopMemoryContext,
												  sizeof(Database));

	if (known != NULL)
		*database = *known;
	database->datid = form->oid;
	database->name = form->datname;
	database->allowed = ev_settings_database_allowed(NameStr(form->datname));
	return database;
}

/* Reads pg_database: which databases may have a publisher? */
static void
scan_databases(void)
{
	List	   *found = NIL;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old_context;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		if (!usable((Form_pg_database) GETSTRUCT(tuple)))
			continue;
		old_context = MemoryContextSwitchTo(TopMemoryContext);
		found = lappend(found, make_database(tuple));
		MemoryContextSwitchTo(old_context);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();

	list_free_deep(databases);
	databases = found;
}

/* Forgets entries whose database is gone or not ours to serve anymore. */
static void
remove_entries(void)
{
	EvDatabase *entry;

	for (int i = 0; (entry = ev_shared_entry(i)) != NULL; i++)
	{
		Database   *database;

		if (!OidIsValid(entry->datid) || entry->pid != 0)
			continue;
		database = find_database(databases, entry->datid);
		if (database == NULL)
			ev_shared_remove(entry);
		else if (database->asked && !entry->installed && entry->restart_at != 0 &&
				 entry->failures == 0)
			ev_shared_remove(entry);
	}
}

/*
 * The entry of a database, made if need be.  Where there is a slot of ours
 * there is the extension: shown even if no worker can be started to look.
 */
static EvDatabase *
make_entry(Database *database)
{
	EvDatabase *entry = ev_shared_get(database->datid);

	if (entry != NULL && ev_slot_exists(database->datid))
	{
		SpinLockAcquire(&entry->mutex);
		entry->installed = true;
		SpinLockRelease(&entry->mutex);
	}
	return entry;
}

/* Shows that a database with the extension is not to be published. */
static void
show_exclusion(EvDatabase *entry)
{
	if (entry->pid != 0 || !entry->installed ||
		entry->state == EV_STATE_STOPPED)
		return;
	ev_shared_set_state(entry, EV_STATE_STOPPED);
	ev_shared_set_error(entry, "the database is not in eventuate.databases");
}

/*
 * Does a backend hold the database, to drop or copy it?  If it died without
 * letting go, we do.
 */
static bool
is_held(EvDatabase *entry)
{
	int			holder = entry->holder;

	if (holder == 0)
		return false;
	if (BackendPidGetProc(holder) != NULL)
		return true;
	SpinLockAcquire(&entry->mutex);
	if (entry->holder == holder)
		entry->holder = 0;
	SpinLockRelease(&entry->mutex);
	return false;
}

/* Says once, until it is over, that there is no worker to be had. */
static void
show_shortage(EvDatabase *entry)
{
	char	   *reason = psprintf("no background worker is free; raise max_worker_processes to at least %d",
								  max_worker_processes + 1);

	if (!short_of_workers)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start the publisher of database %u: %s",
						entry->datid, reason)));
	short_of_workers = true;
	ev_shared_set_state(entry, EV_STATE_STARTING);
	ev_shared_set_error(entry, reason);
	pfree(reason);
}

static bool
start_publisher(Database *database)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(database->datid);
	strlcpy(worker.bgw_library_name, "eventuate", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "ev_publisher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, "eventuate publisher", sizeof(worker.bgw_type));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "eventuate publisher of \"%s\"",
			 NameStr(database->name));
	strlcpy(worker.bgw_extra, NameStr(database->name), sizeof(worker.bgw_extra));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* When a database's publisher is started next: later after each failure. */
static void
plan_restart(EvDatabase *entry, EvInstant now)
{
	int64		delay = FIRST_RETRY;

	for (int i = 0; i < entry->failures && delay < LAST_RETRY; i++)
		delay *= 2;
	SpinLockAcquire(&entry->mutex);
	entry->failures++;
	entry->restart_at = now + Min(delay, LAST_RETRY) * INT64CONST(1000);
	SpinLockRelease(&entry->mutex);
}

/* Starts what is to be started; returns ms until there may be more to do. */
static long
start_publishers(void)
{
	EvInstant	now = ev_instant_now();
	long		timeout = SCAN_INTERVAL;
	int			probes = 0;
	ListCell   *cell;

	foreach(cell, databases)
	{
		Database   *database = (Database *) lfirst(cell);
		EvDatabase *entry = ev_shared_find(database->datid);

		if (entry == NULL && (database->asked || probes >= MAX_PROBES))
			continue;
		if (entry == NULL &&
			(database->allowed || ev_slot_exists(database->datid)))
			entry = make_entry(database);
		if (entry == NULL)
			continue;
		if (!database->allowed)
		{
			show_exclusion(entry);
			continue;
		}
		if (!entry->installed && entry->failures <= 1)
			probes++;
		if (entry->pid != 0 || is_held(entry))
			continue;
		if (entry->restart_at > now)
		{
			timeout = Min(timeout, (entry->restart_at - now) / 1000 + 1);
			continue;
		}
		if (!start_publisher(database))
		{
			show_shortage(entry);
			timeout = Min(timeout, 1000);
			break;
		}
		short_of_workers = false;
		database->asked = true;
		plan_restart(entry, now);
	}
	return timeout;
}

static void
forget_launcher(int code, Datum arg)
{
	ev_shared_set_launcher(NULL);
}

/* What the postmaster is told about a launcher that starts at that time. */
static void
describe_launcher(BackgroundWorker *worker, BgWorkerStartTime start_time)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = start_time;
	worker->bgw_restart_time = 1;
	strlcpy(worker->bgw_library_name, "eventuate", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, "ev_launcher_main", sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_type, "eventuate launcher", sizeof(worker->bgw_type));
	strlcpy(worker->bgw_name, "eventuate launcher", sizeof(worker->bgw_name));
}

/*
 * All there is to do on a standby.  Nobody tells a worker of a promotion, but
 * the postmaster starts one then: exit code 0 means that the successor is
 * registered and this process is not needed again.
 */
static void
leave_standby(void)
{
	BackgroundWorker successor;

	ev_slot_drop_leftovers();
	describe_launcher(&successor, BgWorkerStart_RecoveryFinished);
	proc_exit(RegisterDynamicBackgroundWorker(&successor, NULL) ? 0 : 1);
}

/* Entry point. */
void
ev_launcher_main(Datum main_arg)
{
	ev_worker_take_signals();
	if (RecoveryInProgress())
		leave_standby();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	before_shmem_exit(forget_launcher, (Datum) 0);
	if (GetLatestXTime() != 0)
		ev_shared_advance_ids(GetLatestXTime());
	ev_shared_set_launcher(MyLatch);

	for (;;)
	{
		long		timeout;

		if (ev_worker_shutdown_requested())
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		scan_databases();
		remove_entries();
		timeout = start_publishers();
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
				  timeout, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* Called once, by _PG_init while preloading. */
void
ev_launcher_register(void)
{
	BackgroundWorker worker;

	describe_launcher(&worker, BgWorkerStart_ConsistentState);
	RegisterBackgroundWorker(&worker);
}
