/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  eventuate_wait(): until what was sent is on Kafka.
 *
 * For those who have to know, as a test or a shutdown: applications need not
 * wait.  It looks at the confirmed position in shared memory; nobody waits for
 * the one who waits.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "argument.h"
#include "horizon.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(eventuate_wait);

/* In ms: between two looks, and longer than anybody waits. */
#define WAIT_STEP 10
#define FOREVER (PG_INT32_MAX * INT64CONST(1000))

/* What is committed before "lsn" is acknowledged. */
static bool
is_published(XLogRecPtr lsn)
{
	EvDatabase *database = ev_shared_find(MyDatabaseId);
	XLogRecPtr	published = InvalidXLogRecPtr;

	if (database == NULL)
		return false;
	SpinLockAcquire(&database->mutex);
	published = database->published_lsn;
	SpinLockRelease(&database->mutex);
	return published >= lsn;
}

/* An interval in ms; NULL: for ever. */
static int64
timeout_ms(FunctionCallInfo fcinfo, int arg)
{
	int64		ms;

	if (PG_ARGISNULL(arg))
		return FOREVER;
	ms = ev_interval_ms(PG_GETARG_INTERVAL_P(arg));
	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative")));
	return Min(ms, FOREVER);
}

/*
 * eventuate_wait(lsn, timeout): true once everything that was committed before
 * lsn (null: before this call) is acknowledged by Kafka; false after timeout.
 */
Datum
eventuate_wait(PG_FUNCTION_ARGS)
{
	int64		timeout = timeout_ms(fcinfo, 1);
	EvInstant	start = ev_instant_now();
	XLogRecPtr	lsn;

	ev_check_server("eventuate_wait()");
	PreventCommandDuringRecovery("eventuate_wait()");
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("eventuate_wait() cannot be called in a transaction that has written"),
				 errdetail("What a transaction sends is published when it is committed."),
				 errhint("Call it after COMMIT.")));
	lsn = PG_ARGISNULL(0) ? ev_horizon_inserted() : ev_horizon_align(PG_GETARG_LSN(0));

	/* The publisher reads what is flushed. */
	XLogFlush(Min(lsn, ev_horizon_inserted()));
	while (!is_published(lsn))
	{
		if (ev_instant_passed(start, ev_instant_now(), timeout))
			PG_RETURN_BOOL(false);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 WAIT_STEP, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_BOOL(true);
}
