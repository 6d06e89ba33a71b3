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
#include "launcher_start.h"
#include "settings.h"
#include "shared.h"
#include "shared_id.h"
#include "shared_outbox.h"
#include "slot_list.h"
#include "worker.h"

/* Databases may come without telling us: look every so many ms. */
#define SCAN_INTERVAL 10000

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
	EvOutboxEntry *outbox;

	for (int i = 0; (entry = ev_shared_entry(i)) != NULL; i++)
	{
		Database   *database;

		if (!OidIsValid(entry->datid) || entry->publisher.pid != 0 ||
			entry->housekeeper.pid != 0)
			continue;
		database = find_database(databases, entry->datid);
		if (database == NULL ||
			(database->asked && !entry->installed &&
			 entry->publisher.restart_at != 0 && entry->publisher.failures == 0))
			ev_shared_remove(entry);
	}
	for (int i = 0; (outbox = ev_shared_outbox_entry(i)) != NULL; i++)
	{
		if (OidIsValid(outbox->datid) && ev_shared_find(outbox->datid) == NULL)
			ev_shared_outbox_remove(outbox);
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
	EvWorker   *publisher = &entry->publisher;

	if (publisher->pid != 0 || !entry->installed ||
		publisher->state == EV_STATE_STOPPED)
		return;
	ev_shared_set_state(publisher, EV_STATE_STOPPED);
	ev_shared_set_error(publisher, "the database is not in eventuate.databases");
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

/* Starts a database's worker as ev_launcher_start() does. */
static bool
start_worker(Database *database, EvWorkerKind kind, Oid relid, EvWorker *worker,
			 EvInstant now, long *timeout)
{
	EvWorkerTask task = {.datid = database->datid,.kind = kind,.relid = relid};

	task.database = database->name;
	return ev_launcher_start(&task, worker, now, timeout);
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
		if (!entry->installed && entry->publisher.failures <= 1)
			probes++;
		if (is_held(entry))
			continue;
		if (!start_worker(database, EV_WORKER_PUBLISHER, InvalidOid,
						  &entry->publisher, now, &timeout))
			break;
		database->asked |= entry->publisher.failures > 0;
	}
	return timeout;
}

/* The same for outboxes that are to be polled. */
static long
start_pollers(void)
{
	EvInstant	now = ev_instant_now();
	long		timeout = SCAN_INTERVAL;
	EvOutboxEntry *outbox;

	for (int i = 0; (outbox = ev_shared_outbox_entry(i)) != NULL; i++)
	{
		Database   *database = outbox->polled ?
		find_database(databases, outbox->datid) : NULL;
		EvDatabase *entry = database ? ev_shared_find(database->datid) : NULL;

		if (entry == NULL || !database->allowed || is_held(entry))
			continue;
		if (!start_worker(database, EV_WORKER_POLLER, outbox->relid,
						  &outbox->poller, now, &timeout))
			break;
	}
	return timeout;
}

/* Is there something to tidy up in a database, and when? */
static bool
needs_housekeeper(EvDatabase *entry, EvInstant *when)
{
	bool		needed;

	SpinLockAcquire(&entry->mutex);
	needed = entry->installed &&
		(entry->clean_left || entry->messages != entry->clean_messages);
	*when = entry->clean_at;
	SpinLockRelease(&entry->mutex);
	return needed && entry->publisher.pid != 0;
}

/* The same for those that tidy up: last, for there is no hurry. */
static long
start_housekeepers(void)
{
	EvInstant	now = ev_instant_now();
	long		timeout = SCAN_INTERVAL;
	ListCell   *cell;

	foreach(cell, databases)
	{
		Database   *database = (Database *) lfirst(cell);
		EvDatabase *entry = ev_shared_find(database->datid);
		EvInstant	when;

		if (entry == NULL || !database->allowed || is_held(entry) ||
			!needs_housekeeper(entry, &when))
			continue;
		if (when > now)
		{
			timeout = Min(timeout, (when - now) / 1000 + 1);
			continue;
		}
		if (!start_worker(database, EV_WORKER_HOUSEKEEPER, InvalidOid,
						  &entry->housekeeper, now, &timeout))
			break;
	}
	return timeout;
}

/* What is to be tidied up may be another matter now. */
static void
reconsider_housekeeping(void)
{
	EvDatabase *entry;

	for (int i = 0; (entry = ev_shared_entry(i)) != NULL; i++)
	{
		SpinLockAcquire(&entry->mutex);
		entry->clean_at = 0;
		entry->clean_left = true;
		SpinLockRelease(&entry->mutex);
	}
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
			reconsider_housekeeping();
		}
		scan_databases();
		remove_entries();
		timeout = start_publishers();
		timeout = Min(timeout, start_pollers());
		timeout = Min(timeout, start_housekeepers());
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
