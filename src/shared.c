/*-------------------------------------------------------------------------
 *
 * shared.c
 *	  Shared memory: what our processes and the backends tell each other.
 *
 * Owns an entry for each database with a publisher (or with a wish for one),
 * and the launcher's latch.  There are plain values and latches only, never a
 * handle of a library.
 *
 * Promises: whoever looks needs no lock, and never meets a dangling pointer.
 *
 * A restart of the server (a crash restart too) begins with nothing: counters
 * at zero; the launcher finds the databases again.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "shared.h"
#include "shared_id.h"
#include "shared_outbox.h"

typedef struct EvShared
{
	LWLock	   *lock;			/* for adding and removing entries */
	slock_t		mutex;			/* for launcher */
	Latch	   *launcher;
	pg_atomic_uint32 generation;	/* rises when entries come or go */
	EvDatabase	databases[EV_MAX_DATABASES];
} EvShared;

static EvShared *shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(EvShared)));
	RequestAddinShmemSpace(ev_shared_id_size());
	RequestAddinShmemSpace(ev_shared_outbox_size());
	RequestNamedLWLockTranche("eventuate", 1);
}

/* For whoever makes an entry with a worker in it. */
void
ev_shared_init_worker(EvWorker *worker)
{
	memset(worker, 0, sizeof(EvWorker));
	SpinLockInit(&worker->mutex);
}

static void
init_database(EvDatabase *database)
{
	memset(database, 0, sizeof(EvDatabase));
	SpinLockInit(&database->mutex);
	ev_shared_init_worker(&database->publisher);
	ev_shared_init_worker(&database->housekeeper);
	database->clean_left = true;
	pg_atomic_init_u32(&database->sleeping, 0);
	pg_atomic_init_u32(&database->recheck, 0);
	pg_atomic_init_u64(&database->commit_lsn, 0);
	pg_atomic_init_u32(&database->wal_is_kept, 0);
	pg_atomic_init_u32(&database->slots_lost, 0);
	pg_atomic_init_u32(&database->slot_unreadable, 0);
	pg_atomic_init_u64(&database->wal_message_lsn, 0);
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("eventuate", sizeof(EvShared), &found);
	if (!found)
	{
		shared->lock = &GetNamedLWLockTranche("eventuate")->lock;
		SpinLockInit(&shared->mutex);
		shared->launcher = NULL;
		pg_atomic_init_u32(&shared->generation, 1);
		for (int i = 0; i < EV_MAX_DATABASES; i++)
			init_database(&shared->databases[i]);
	}
	ev_shared_id_startup();
	ev_shared_outbox_startup(shared->lock);
	LWLockRelease(AddinShmemInitLock);
}

/* Is the library preloaded, so that there is shared memory of ours? */
bool
ev_shared_ready(void)
{
	return shared != NULL;
}

/* Throws unless the library is preloaded; "what" is the caller's name. */
void
ev_shared_require(const char *what)
{
	if (shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s requires eventuate to be preloaded", what),
				 errdetail("Messages are published by a background worker, which starts with the server."),
				 errhint("Add \"eventuate\" to shared_preload_libraries in postgresql.conf and restart the server.")));
}

/*
 * The entry of a database, or NULL.  Needs no lock: an entry found may be
 * removed at any time by the launcher, whose readers must cope with stale
 * numbers, never with a dangling pointer.
 */
EvDatabase *
ev_shared_find(Oid datid)
{
	for (int i = 0; i < EV_MAX_DATABASES; i++)
	{
		if (shared->databases[i].datid == datid)
			return &shared->databases[i];
	}
	return NULL;
}

/* The entry of a database, made if need be; NULL if all are taken. */
EvDatabase *
ev_shared_get(Oid datid)
{
	EvDatabase *database;

	Assert(OidIsValid(datid));
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	database = ev_shared_find(datid);
	if (database == NULL)
	{
		database = ev_shared_find(InvalidOid);
		if (database != NULL)
		{
			init_database(database);
			database->stats_reset = GetCurrentTimestamp();
			database->datid = datid;
			pg_atomic_fetch_add_u32(&shared->generation, 1);
		}
	}
	LWLockRelease(shared->lock);
	return database;
}

/* The index-th entry, free ones too; NULL past the end. */
EvDatabase *
ev_shared_entry(int index)
{
	return index < EV_MAX_DATABASES ? &shared->databases[index] : NULL;
}

/* Frees an entry; for the launcher, once no publisher runs for it. */
void
ev_shared_remove(EvDatabase *database)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&database->mutex);
	database->datid = InvalidOid;
	database->installed = false;
	SpinLockRelease(&database->mutex);
	pg_atomic_fetch_add_u32(&shared->generation, 1);
	LWLockRelease(shared->lock);
}

/* For the launcher: whose latch requests set; NULL when it exits. */
void
ev_shared_set_launcher(Latch *latch)
{
	SpinLockAcquire(&shared->mutex);
	shared->launcher = latch;
	SpinLockRelease(&shared->mutex);
}

void
ev_shared_wake_launcher(void)
{
	Latch	   *latch;

	SpinLockAcquire(&shared->mutex);
	latch = shared->launcher;
	SpinLockRelease(&shared->mutex);
	if (latch != NULL)
		SetLatch(latch);
}

/* Wakes a worker, if there is one. */
void
ev_shared_wake(EvWorker *worker)
{
	Latch	   *latch;

	SpinLockAcquire(&worker->mutex);
	latch = worker->latch;
	SpinLockRelease(&worker->mutex);
	if (latch != NULL)
		SetLatch(latch);
}

/* Nothing puts off the worker's next start; wake the launcher for it. */
void
ev_shared_start_soon(EvWorker *worker)
{
	SpinLockAcquire(&worker->mutex);
	worker->restart_at = 0;
	SpinLockRelease(&worker->mutex);
}

/*
 * Rises whenever an entry comes or goes: until then, what ev_shared_find()
 * answered goes on to be so.
 */
uint32
ev_shared_generation(void)
{
	return pg_atomic_read_u32(&shared->generation);
}

/* A state as the view and the log name it. */
const char *
ev_shared_state_name(EvState state)
{
	static const char *const names[] = {
		[EV_STATE_STARTING] = "starting",
		[EV_STATE_RECOVERING] = "recovering",
		[EV_STATE_CATCHING_UP] = "catching up",
		[EV_STATE_STREAMING] = "streaming",
		[EV_STATE_WAITING] = "waiting",
		[EV_STATE_PAUSED] = "paused",
		[EV_STATE_STOPPED] = "stopped",
		[EV_STATE_NOT_CONFIGURED] = "not configured"
	};

	return names[state];
}

/* Shows a state; a line in the log is the caller's business. */
void
ev_shared_set_state(EvWorker *worker, EvState state)
{
	SpinLockAcquire(&worker->mutex);
	worker->state = state;
	SpinLockRelease(&worker->mutex);
}

/* Shows an error and its time; NULL takes both back. */
void
ev_shared_set_error(EvWorker *worker, const char *error)
{
	TimestampTz now = GetCurrentTimestamp();
	char		text[EV_ERROR_LENGTH];

	if (error == NULL)
		text[0] = '\0';
	else
	{
		int			length = strlen(error);

		if (length >= EV_ERROR_LENGTH)
			length = pg_mbcliplen(error, length, EV_ERROR_LENGTH - 1);
		memcpy(text, error, length);
		text[length] = '\0';
	}

	SpinLockAcquire(&worker->mutex);
	memcpy(worker->last_error, text, EV_ERROR_LENGTH);
	worker->last_error_time = error ? now : 0;
	SpinLockRelease(&worker->mutex);
}

/* Called once, by _PG_init while preloading: all backends inherit the hooks. */
void
ev_shared_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}
