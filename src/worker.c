/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  What every worker of a database is: a process that waits in one place.
 *
 * Owns the process's signals, its claim on the database's entry in shared
 * memory, the one set of events it waits for, and the ways to leave.  It knows
 * nothing of what the worker does.
 *
 * Promises: one worker of a kind for each database; whoever holds the database
 * in shared memory sees the process go; SIGTERM ends any wait.  Nothing is
 * flushed or waited for on the way out.
 *
 * A worker ends with exit code 0 when it leaves by itself, and is started
 * again by the launcher if there is still need of it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "shared.h"
#include "shared_outbox.h"
#include "text_form.h"
#include "worker.h"

/* How long, in ms, a wanted restart is put off for what is under way. */
#define RESTART_LIMIT 5000

static const char *const kind_names[] = {
	[EV_WORKER_PUBLISHER] = "publisher",
	[EV_WORKER_POLLER] = "poller",
	[EV_WORKER_HOUSEKEEPER] = "housekeeper",
};

/* In kB. */
#define MAX_DECODING_MEMORY 65536

/* What there is to do; whose database, and which of its workers this is. */
static EvWorkerTask task;
static EvDatabase *database = NULL;
static EvWorker *me = NULL;
static EvLeaveCallback before_leaving = NULL;

static WaitEventSet *all_events = NULL;
static WaitEventSet *deaf_events = NULL;	/* the postmaster's death alone */

static volatile sig_atomic_t shutdown_requested = false;

/* Is it shown why the process ends? */
static bool error_recorded = false;

/* Is a restart wanted, and from when on does nothing delay it? */
static bool restart_wanted = false;
static EvInstant restart_deadline;

/* A kind of worker as the log and ps name it. */
const char *
ev_worker_kind_name(EvWorkerKind kind)
{
	return kind_names[kind];
}

/* ---------------------------------------------------------------------
 * Leaving
 * ---------------------------------------------------------------------
 */

/*
 * Ends a wait for a lock or in a library of PostgreSQL's as it would in a
 * session; where we get to look first, we leave politely.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	shutdown_requested = true;
	die(postgres_signal_arg);
}

/*
 * Takes signals as all our processes do, the launcher too: first thing in an
 * entry point.
 */
void
ev_worker_take_signals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_sigterm);
	BackgroundWorkerUnblockSignals();
}

/* Did SIGTERM come? */
bool
ev_worker_shutdown_requested(void)
{
	return shutdown_requested;
}

/* Ends the process. */
void
ev_worker_leave(void)
{
	if (before_leaving != NULL)
		before_leaving();
	proc_exit(0);
}

/* The same, and the launcher starts another at once. */
void
ev_worker_leave_and_come_back(void)
{
	SpinLockAcquire(&me->mutex);
	me->restart_at = 0;
	me->failures = 0;
	SpinLockRelease(&me->mutex);
	ev_worker_leave();
}

/* "callback" is the last thing done before leaving by ourselves. */
void
ev_worker_before_leaving(EvLeaveCallback callback)
{
	before_leaving = callback;
}

/*
 * From now on the worker should come to an end of what is under way, and
 * restart; after a while ev_worker_check_requests() does it for it.
 */
void
ev_worker_want_restart(void)
{
	if (restart_wanted)
		return;
	restart_wanted = true;
	restart_deadline = ev_instant_now() + RESTART_LIMIT * INT64CONST(1000);
}

bool
ev_worker_restart_wanted(void)
{
	return restart_wanted;
}

/*
 * The worker does what it is there for: should it fail from now on, that is
 * the first failure again.
 */
void
ev_worker_settled(void)
{
	SpinLockAcquire(&me->mutex);
	me->failures = 0;
	SpinLockRelease(&me->mutex);
}

/*
 * Serves interrupts, and leaves if somebody wants that.  In every loop; may be
 * inside a transaction.
 */
void
ev_worker_check_requests(void)
{
	if (shutdown_requested || database->holder != 0)
		ev_worker_leave();
	CHECK_FOR_INTERRUPTS();
	if (task.kind == EV_WORKER_PUBLISHER &&
		pg_atomic_read_u32(&database->recheck) != 0 &&
		pg_atomic_exchange_u32(&database->recheck, 0) != 0)
		ev_worker_want_restart();
	if (restart_wanted && ev_instant_now() >= restart_deadline)
		ev_worker_leave_and_come_back();
}

/*
 * Shows an error that ends the process, for the time until the next start.
 * For a PG_CATCH block that throws on.
 */
void
ev_worker_record_error(void)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	ErrorData  *error = CopyErrorData();

	MemoryContextSwitchTo(old_context);
	ev_shared_set_error(me, error->hint ?
						psprintf("%s (%s)", error->message, error->hint) :
						error->message);
	error_recorded = true;
}

/* ---------------------------------------------------------------------
 * Starting
 * ---------------------------------------------------------------------
 */

/*
 * Runs before shared memory is left: from now on nobody wakes us.  Whoever
 * looks sees what comes next, and after a failure why.
 */
static void
release_entry(int code, Datum arg)
{
	if (code != 0 && !error_recorded)
		ev_shared_set_error(me, psprintf("the %s was ended; see the server's log",
										 kind_names[task.kind]));
	SpinLockAcquire(&me->mutex);
	me->latch = NULL;
	me->pid = 0;
	me->state = EV_STATE_STARTING;
	if (code == 0)
		me->failures = 0;
	SpinLockRelease(&me->mutex);
	ev_shared_wake_launcher();
}

/* Which worker this is to be; NULL: there is no need of it anymore. */
static EvWorker *
find_entry(void)
{
	EvOutboxEntry *outbox;

	database = ev_shared_find(task.datid);
	if (database == NULL)
		return NULL;
	if (task.kind == EV_WORKER_PUBLISHER)
		return &database->publisher;
	if (task.kind == EV_WORKER_HOUSEKEEPER)
		return &database->housekeeper;
	outbox = ev_shared_outbox_find(task.datid, task.relid);
	return outbox ? &outbox->poller : NULL;
}

/* Takes the worker's entry; false: another process has it. */
static bool
claim_entry(void)
{
	bool		claimed = false;

	me = find_entry();
	if (me == NULL || database->holder != 0)
		return false;
	SpinLockAcquire(&me->mutex);
	if (me->pid == 0)
	{
		me->pid = MyProcPid;
		me->latch = MyLatch;
		me->state = EV_STATE_STARTING;
		claimed = true;
	}
	SpinLockRelease(&me->mutex);
	if (claimed)
		before_shmem_exit(release_entry, (Datum) 0);
	return claimed;
}

/*
 * What ALTER ROLE and ALTER DATABASE may have set must not reach in here; the
 * same settings as autovacuum's workers override, and a bound on locks.  What
 * messages wait in must not be limited: the next process would meet the same.
 */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"statement_timeout", "0"},
		{"transaction_timeout", "0"},	/* since 17 */
		{"lock_timeout", "5s"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		{"zero_damaged_pages", "off"},
		{"row_security", "off"},
		{"temp_file_limit", "-1"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);

	/* Nor may they reach into records. */
	ev_text_form_override();

	/* One transaction in memory; a user's larger value is for his sessions. */
	if (logical_decoding_work_mem > MAX_DECODING_MEMORY)
		SetConfigOption("logical_decoding_work_mem", "64MB", PGC_SUSET, PGC_S_OVERRIDE);
	if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
}

static void
create_wait_events(void)
{
	all_events = ev_create_wait_event_set_compat(3);
	AddWaitEventToSet(all_events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(all_events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	deaf_events = ev_create_wait_event_set_compat(1);
	AddWaitEventToSet(deaf_events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
}

/*
 * Makes the process the worker that the launcher wants: first thing in an
 * entry point.  Leaves if there is one already.  Returns the database's entry.
 */
EvDatabase *
ev_worker_start(void)
{
	ev_worker_take_signals();
	memcpy(&task, MyBgworkerEntry->bgw_extra, sizeof(task));
	if (!claim_entry())
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(task.datid, InvalidOid, 0);
	override_settings();
	create_wait_events();
	return database;
}

/* What the worker is there for. */
const EvWorkerTask *
ev_worker_task(void)
{
	return &task;
}

/* The name of the worker's database, as it was when the worker started. */
const char *
ev_worker_database(void)
{
	return NameStr(task.database);
}

/* ---------------------------------------------------------------------
 * Waiting
 * ---------------------------------------------------------------------
 */

/* From now on every wait but a deaf one ends when "fd" becomes readable. */
void
ev_worker_watch(int fd)
{
	AddWaitEventToSet(all_events, WL_SOCKET_READABLE, fd, NULL, NULL);
}

/* The one wait of the process. */
static void
wait_for(WaitEventSet *events, long timeout_ms)
{
	WaitEvent	occurred[3];
	int			count = WaitEventSetWait(events, timeout_ms, occurred,
										 lengthof(occurred), PG_WAIT_EXTENSION);

	for (int i = 0; i < count; i++)
	{
		if (occurred[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
}

/* Waits for anything at all, or the fallback. */
void
ev_worker_wait(void)
{
	wait_for(all_events, EV_FALLBACK_POLL);
}

/* Waits for anything at all, or so many ms. */
void
ev_worker_wait_for(long timeout_ms)
{
	wait_for(all_events, timeout_ms);
}

/* Waits so many ms; what would have ended it is seen at the next wait. */
void
ev_worker_wait_deaf(long timeout_ms)
{
	wait_for(deaf_events, timeout_ms);
}

/* ---------------------------------------------------------------------
 * What others see
 * ---------------------------------------------------------------------
 */

/*
 * Shows a state, and why.  A line in the log when either is new; not for
 * falling behind and catching up, which is plain work.
 */
void
ev_worker_show(EvState state, const char *reason)
{
	static EvState shown = EV_STATE_STARTING;
	static EvState logged = EV_STATE_STARTING;
	static char *shown_reason = NULL;
	bool		same_reason = reason == NULL ? shown_reason == NULL :
	shown_reason != NULL && strcmp(reason, shown_reason) == 0;

	if (state == shown && same_reason)
		return;
	if (state != EV_STATE_CATCHING_UP && (state != logged || reason != NULL))
	{
		ereport(LOG,
				(errmsg("%s of database \"%s\" is now %s", kind_names[task.kind],
						ev_worker_database(), ev_shared_state_name(state)),
				 reason ? errdetail_internal("%s", reason) : 0));
		logged = state;
	}
	if (!same_reason)
	{
		if (shown_reason != NULL)
			pfree(shown_reason);
		shown_reason = reason ? MemoryContextStrdup(TopMemoryContext, reason) : NULL;

		/* What is waited for is no error once it has come. */
		if (reason != NULL ||
			(shown != EV_STATE_WAITING && shown != EV_STATE_STOPPED))
			ev_shared_set_error(me, reason);
	}
	shown = state;
	ev_shared_set_state(me, state);
}
