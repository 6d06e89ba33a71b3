/*-------------------------------------------------------------------------
 *
 * poller.c
 *	  The background worker that asks an outbox for its rows.
 *
 * One process for each outbox that is polled, so that a remote server which
 * cannot be reached, or does not answer, stops that outbox and nothing else.
 * It reads a batch of rows, waits until the publisher has it acknowledged,
 * and marks it (poll.c).  Nothing is read while the publisher cannot publish.
 *
 * Owns the batch that is under way, in the memory of the process: a restart
 * finds those rows again and sends them again.
 *
 * Leaves for good when the table is no outbox anymore, or the extension gone.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "clean.h"
#include "outbox.h"
#include "poll.h"
#include "poller.h"
#include "shared_outbox.h"
#include "worker.h"

/* All in ms. */
#define FIRST_RETRY 500			/* after an error; doubles up to the last */
#define LAST_RETRY 10000
#define ACKNOWLEDGE_POLL 20		/* between looks at what is acknowledged */
#define REST_POLL 1000			/* while the publisher cannot publish */

static EvDatabase *database = NULL;
static Oid	relid = InvalidOid;
static EvBatch batch;

/* In ms: how long to wait when there is nothing to read, ... */
static int64 interval = 0;

/* ... and how long marked rows stay (-1: for ever); when that was looked at. */
static int64 retention = -1;
static EvInstant cleaned_at = 0;

/* The table is not to be polled anymore. */
static void
leave_for_good(void)
{
	EvOutboxEntry *outbox = ev_shared_outbox_find(MyDatabaseId, relid);

	if (outbox != NULL)
	{
		SpinLockAcquire(&outbox->mutex);
		outbox->polled = false;
		SpinLockRelease(&outbox->mutex);
	}

	/* Somebody may have attached it again meanwhile. */
	if (outbox != NULL && ev_poll_is_wanted(relid, &interval, &retention))
		ev_shared_outbox_poll(relid);
	ev_worker_leave();
}

/* Does the publisher publish? */
static bool
publisher_is_able(void)
{
	const EvWorker *publisher = &database->publisher;

	return publisher->pid != 0 && (publisher->state == EV_STATE_STREAMING ||
								   publisher->state == EV_STATE_CATCHING_UP);
}

static bool
batch_is_acknowledged(void)
{
	XLogRecPtr	published;

	SpinLockAcquire(&database->mutex);
	published = database->published_lsn;
	SpinLockRelease(&database->mutex);
	return published >= batch.end_lsn;
}

/*
 * Deletes some of what is old, from time to time and between batches.  Should
 * it fail, publishing goes on before the next attempt.
 */
static void
clean(void)
{
	EvInstant	now = ev_instant_now();

	if (retention < 0 || batch.count != 0 ||
		now < cleaned_at + ev_clean_interval(retention) * INT64CONST(1000))
		return;
	cleaned_at = now;
	if (ev_poll_clean(relid, &batch))
		cleaned_at = 0;
}

/* Does what can be done now; returns for how many ms there is nothing more. */
static long
step(void)
{
	bool		full;

	if (!ev_poll_is_wanted(relid, &interval, &retention))
		leave_for_good();
	clean();
	if (batch.count == 0)
	{
		if (!publisher_is_able())
		{
			ev_worker_show(EV_STATE_WAITING, "the publisher of the database does not publish");
			return REST_POLL;
		}
		ev_poll_copy(relid, &batch);
	}
	if (batch.count == 0)
	{
		ev_worker_show(EV_STATE_STREAMING, NULL);
		return interval;
	}
	if (!batch_is_acknowledged())
		return publisher_is_able() ? ACKNOWLEDGE_POLL : REST_POLL;
	full = batch.full;
	ev_poll_mark(relid, &batch);
	ev_worker_show(full ? EV_STATE_CATCHING_UP : EV_STATE_STREAMING, NULL);
	return full ? 0 : interval;
}

/* Shows the error that is being handled, and is through with it. */
static void
show_error(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(context);
	ev_worker_show(EV_STATE_WAITING, psprintf("%s%s%s", error->message,
											  error->detail ? ": " : "",
											  error->detail ? error->detail : ""));
	RESUME_INTERRUPTS();
}

/* A step; what goes wrong is shown, and tried again later and later. */
static long
try_step(MemoryContext context)
{
	static long retry = FIRST_RETRY;
	volatile long wait = 0;

	PG_TRY();
	{
		wait = step();
		retry = FIRST_RETRY;
	}
	PG_CATCH();
	{
		show_error(context);
		wait = retry;
		retry = Min(retry * 2, LAST_RETRY);
	}
	PG_END_TRY();
	return wait;
}

/* Waits so many ms, or until somebody wants something. */
static void
wait_for_work(long timeout)
{
	EvInstant	end = ev_instant_now() + timeout * INT64CONST(1000);

	for (;;)
	{
		EvInstant	now = ev_instant_now();

		ev_worker_check_requests();
		if (now >= end)
			break;
		ev_worker_wait_for(Min((end - now) / 1000 + 1, REST_POLL));
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

/* Entry point. */
void
ev_poller_main(Datum main_arg)
{
	MemoryContext context;

	database = ev_worker_start();
	relid = ev_worker_task()->relid;
	context = AllocSetContextCreate(TopMemoryContext, "eventuate poller",
									ALLOCSET_DEFAULT_SIZES);
	ev_poll_init(&batch);
	for (;;)
	{
		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
		wait_for_work(try_step(context));
	}
}
