/*-------------------------------------------------------------------------
 *
 * launcher_start.c
 *	  Has the process of a worker started.
 *
 * Which workers are wanted the launcher knows; here it is a matter of when,
 * after failures, and of whether there is a process to be had.
 *
 * Promises: a worker that fails is started again 0.5 s later, then later and
 * later, up to 10 s.  Where no process is free the view says so, and the log
 * once, until one is.
 *
 * Failures are counted in shared memory: a restart of the launcher goes on.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"

#include "launcher_start.h"
#include "shared.h"
#include "worker.h"

/* All in ms. */
#define FIRST_RETRY 500			/* after a failure; doubles up to the last */
#define LAST_RETRY 10000

static bool short_of_workers = false;

/* The entry points. */
static const char *const functions[] = {
	[EV_WORKER_PUBLISHER] = "ev_publisher_main",
	[EV_WORKER_POLLER] = "ev_poller_main",
	[EV_WORKER_HOUSEKEEPER] = "ev_housekeeper_main",
};

/* Says once, until it is over, that there is no worker to be had. */
static void
show_shortage(const EvWorkerTask *task, EvWorker *worker)
{
	char	   *reason = psprintf("no background worker is free; raise max_worker_processes to at least %d",
								  max_worker_processes + 1);

	if (!short_of_workers)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start the %s of database %u: %s",
						ev_worker_kind_name(task->kind), task->datid, reason)));
	short_of_workers = true;
	worker->unstarted = true;
	ev_shared_set_state(worker, EV_STATE_STARTING);
	ev_shared_set_error(worker, reason);
	pfree(reason);
}

/* A process could be had: what was said of the shortage is no longer true. */
static void
end_shortage(EvWorker *worker)
{
	short_of_workers = false;
	if (worker->unstarted)
		ev_shared_set_error(worker, NULL);
	worker->unstarted = false;
}

/* Has a process started; false: none is free. */
static bool
start_process(const EvWorkerTask *task)
{
	BackgroundWorker worker;

	StaticAssertStmt(sizeof(EvWorkerTask) <= BGW_EXTRALEN, "a task fits");
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "eventuate", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, functions[task->kind],
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "eventuate %s",
			 ev_worker_kind_name(task->kind));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "eventuate %s of \"%s\"",
			 ev_worker_kind_name(task->kind), NameStr(task->database));
	memcpy(worker.bgw_extra, task, sizeof(EvWorkerTask));
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* When a worker is started next: later after each failure. */
static void
plan_restart(EvWorker *worker, EvInstant now)
{
	int64		delay = FIRST_RETRY;

	for (int i = 0; i < worker->failures && delay < LAST_RETRY; i++)
		delay *= 2;
	SpinLockAcquire(&worker->mutex);
	worker->failures++;
	worker->restart_at = now + Min(delay, LAST_RETRY) * INT64CONST(1000);
	SpinLockRelease(&worker->mutex);
}

/*
 * Starts a worker that is wanted, unless it is there, or has to wait: then
 * "timeout", in ms from now, is not later than that.  False: no process is
 * free.
 */
bool
ev_launcher_start(const EvWorkerTask *task, EvWorker *worker, EvInstant now,
				  long *timeout)
{
	if (worker->pid != 0)
		return true;
	if (worker->restart_at > now)
	{
		*timeout = Min(*timeout, (worker->restart_at - now) / 1000 + 1);
		return true;
	}
	if (!start_process(task))
	{
		show_shortage(task, worker);
		*timeout = Min(*timeout, 1000);
		return false;
	}
	end_shortage(worker);
	plan_restart(worker, now);
	return true;
}
