/*-------------------------------------------------------------------------
 *
 * shared.c
 *	  Shared memory: what our processes and the backends tell each other.
 *
 * Owns the one shared structure: an entry for each database with a publisher
 * (or with a wish for one), the stamp of the newest message id, the launcher's
 * latch.  It holds plain values and latches only, never a handle of a library.
 *
 * Promises: a commit costs a session no lock and, unless the publisher sleeps,
 * no system call.  Ids are unique over backends and restarts and ascend in
 * send order, also when the clock goes back.
 *
 * A restart of the server (a crash restart too) begins with nothing: counters
 * at zero, a new random node for ids; the launcher finds the databases again.
 * Ids begin behind the last checkpoint; only if the server crashed and its
 * clock went back, too, can they begin below those that were given after that.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "eventuate.h"
#include "message.h"
#include "shared.h"
#include "shared_outbox.h"

typedef struct EvShared
{
	LWLock	   *lock;			/* for adding and removing entries */
	slock_t		mutex;			/* for launcher */
	Latch	   *launcher;
	uint64		node;			/* 48 random bits: this start of the server */
	pg_atomic_uint64 stamp;		/* of the newest id */
	pg_atomic_uint32 generation;	/* rises when entries come or go */
	EvDatabase	databases[EV_MAX_DATABASES];
} EvShared;

static EvShared *shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* What this session's transaction asks for at its commit. */
static bool recheck_wanted = false;
static bool publisher_wanted = false;

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(EvShared)));
	RequestAddinShmemSpace(ev_shared_outbox_size());
	RequestNamedLWLockTranche("eventuate", 1);
}

/*
 * 48 random bits in the place of a MAC address: the multicast bit is set, so
 * that no real address is ever equal, and the top bit is clear, so that ids
 * compare alike as signed and unsigned numbers.
 */
static uint64
random_node(void)
{
	uint64		node;

	if (!pg_strong_random(&node, sizeof(node)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	node &= UINT64CONST(0x7fffffffffff);
	return node | (UINT64CONST(1) << 40);
}

/*
 * Where stamps begin: behind those of before, also if the clock was set back
 * while the server was down.  What tells is the last checkpoint, in whole
 * seconds; after a crash, ids may have been given later than that.  While the
 * clock is right it is what counts: stamps that run ahead of it would meet
 * those of the next start.
 */
static uint64
first_stamp(void)
{
	bool		valid;
	ControlFileData *control = get_controlfile(DataDir, &valid);
	uint64		now_ms = (uint64) ev_epoch_ms(GetCurrentTimestamp());
	uint64		stamp = 0;

	if (valid && now_ms < (uint64) control->checkPointCopy.time * 1000)
		stamp = ((uint64) control->checkPointCopy.time + 1) * 1000 << 16;
	pfree(control);
	return stamp;
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
		shared->node = random_node();
		pg_atomic_init_u64(&shared->stamp, first_stamp());
		pg_atomic_init_u32(&shared->generation, 1);
		for (int i = 0; i < EV_MAX_DATABASES; i++)
			init_database(&shared->databases[i]);
	}
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

/*
 * Writes a new message id: EV_ID_LENGTH characters and a NUL.  The stamp (ms
 * and a 16-bit counter in one number) only ever rises; when the counter is
 * spent or the clock goes back it runs ahead of the clock.
 */
void
ev_shared_next_id(char *id)
{
	uint64		now_ms = (uint64) ev_epoch_ms(GetCurrentTimestamp());
	uint64		previous = pg_atomic_read_u64(&shared->stamp);
	uint64		stamp;

	do
		stamp = ev_message_next_stamp(previous, now_ms);
	while (!pg_atomic_compare_exchange_u64(&shared->stamp, &previous, stamp));
	ev_message_format_id(id, stamp, shared->node);
}

/* Raises an atomic number to at least "value". */
static void
raise_number(pg_atomic_uint64 *target, uint64 value)
{
	uint64		current = pg_atomic_read_u64(target);

	while (current < value &&
		   !pg_atomic_compare_exchange_u64(target, &current, value))
		;
}

/*
 * Ids are to be later than "time" from now on.  For the launcher, where the
 * server was a standby: what has been replayed was sent by another's clock.
 */
void
ev_shared_advance_ids(TimestampTz time)
{
	raise_number(&shared->stamp, ((uint64) ev_epoch_ms(time) + 1) << 16);
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

/* At this transaction's commit the publisher reads its progress row again. */
void
ev_shared_recheck_at_commit(void)
{
	recheck_wanted = true;
}

/* At this transaction's commit the launcher is asked for a publisher. */
void
ev_shared_request_at_commit(void)
{
	publisher_wanted = true;
}

/* This session's entry; remembered, so that commits do not search. */
static EvDatabase *
my_database(void)
{
	static EvDatabase *mine = NULL;
	static uint32 generation = 0;
	uint32		now = pg_atomic_read_u32(&shared->generation);

	if (now != generation)
	{
		mine = ev_shared_find(MyDatabaseId);
		generation = now;
	}
	return mine;
}

/* Will what is written to this database's WAL now be read? */
bool
ev_shared_wal_is_kept(void)
{
	EvDatabase *database = my_database();

	return database != NULL && pg_atomic_read_u32(&database->wal_is_kept) != 0;
}

/* A message was written that is in WAL alone, and ends at "end". */
void
ev_shared_note_wal_message(XLogRecPtr end)
{
	EvDatabase *database = my_database();

	if (database != NULL)
		raise_number(&database->wal_message_lsn, end);
}

/*
 * Something was committed in this database: the publisher may have to look.
 * With synchronous_commit = off the commit may not be flushed yet; the
 * publisher does that itself, up to commit_lsn.
 */
static void
announce_commit(EvDatabase *database, XLogRecPtr commit_end)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		raise_number(&database->commit_lsn, commit_end);

	/* Pairs with the publisher, which raises the flag, then looks at WAL. */
	pg_memory_barrier();
	if (pg_atomic_read_u32(&database->sleeping) != 0 &&
		pg_atomic_exchange_u32(&database->sleeping, 0) != 0)
		ev_shared_wake(&database->publisher);
}

/* Carries out what this transaction asked for. */
static void
serve_requests(EvDatabase *database)
{
	if (publisher_wanted && (database == NULL || !database->installed))
	{
		database = ev_shared_get(MyDatabaseId);
		if (database != NULL)
		{
			SpinLockAcquire(&database->mutex);
			database->installed = true;
			SpinLockRelease(&database->mutex);
			ev_shared_start_soon(&database->publisher);
		}
		ev_shared_wake_launcher();
	}
	if (recheck_wanted && database != NULL)
	{
		pg_atomic_write_u32(&database->recheck, 1);
		ev_shared_wake(&database->publisher);
	}
}

/*
 * Runs at the end of every transaction of every backend.  COMMIT PREPARED
 * comes here too: it is a transaction that wrote WAL.  Must not throw.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	static XLogRecPtr last_commit_end = InvalidXLogRecPtr;

	if (shared == NULL || !OidIsValid(MyDatabaseId))
		return;
	if (event == XACT_EVENT_COMMIT)
	{
		EvDatabase *database = my_database();

		if (database != NULL && XactLastCommitEnd != last_commit_end)
		{
			last_commit_end = XactLastCommitEnd;
			announce_commit(database, last_commit_end);
		}
		if (publisher_wanted || recheck_wanted)
			serve_requests(database);
		ev_shared_outbox_at_commit();
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
	{
		publisher_wanted = recheck_wanted = false;
		ev_shared_outbox_forget_requests();
	}
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

/*
 * Called once, by _PG_init while preloading: all backends inherit the hooks
 * and the callback.
 */
void
ev_shared_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
	RegisterXactCallback(at_transaction_end, NULL);
}
