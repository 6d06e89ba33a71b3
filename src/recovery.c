/*-------------------------------------------------------------------------
 *
 * recovery.c
 *	  Publishing from the tables, where there is no slot to read from.
 *
 * That is so at birth, and when the slot was lost: dropped, invalidated, left
 * on another server.  Known is a snapshot S of which every message is
 * acknowledged (progress.c).  A round publishes what a newer snapshot sees and
 * S does not, waits for the acknowledgements and stores the newer one.  Rounds
 * go on until one is short, and while the new slot waits for transactions
 * that were already running to end.  The last round is read with the slot's
 * own first snapshot: it sees exactly what decoding will not bring.
 *
 * Promises: nothing committed is left out; rows go in the order of their ids
 * (backlog.c).
 *
 * A crash at any point starts again from the S that was stored last.  The slot
 * becomes persistent only when all that was recovered is acknowledged.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "backlog.h"
#include "horizon.h"
#include "progress.h"
#include "recovery.h"
#include "slot.h"
#include "slot_list.h"
#include "wal_limit.h"

/* A round that sends fewer messages than this is short. */
#define SHORT_ROUND 1000

/*
 * While the slot waits for a transaction there is a round every so many ms,
 * but never so often that reading the tables takes more than a tenth of the
 * time.
 */
#define ROUND_INTERVAL 100
#define ROUND_SHARE 10

/*
 * Waits until standbys have everything that a snapshot taken before can see:
 * a transaction may be visible here without having waited for them.
 */
static void
wait_for_standbys(const EvRecoveryHost *host)
{
	XLogRecPtr	flushed;

	XLogFlush(ev_horizon_inserted());
	flushed = GetFlushRecPtr(NULL);
	while (ev_horizon(NULL) < flushed)
	{
		host->held_back();
		host->wait();
	}
}

/*
 * Sends the rows of a round.  They are found with a snapshot taken after the
 * tables were locked: after a rewrite rows cannot be seen by an older one.
 * What they belong to is told by their txid alone.
 */
static uint64
send_rows(const EvRecoveryHost *host, List *relations, EvBacklog *round)
{
	uint64		sent;

	round->scan = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(round->scan);
	wait_for_standbys(host);
	sent = ev_backlog_send(relations, round, host->sink);
	PopActiveSnapshot();
	UnregisterSnapshot(round->scan);
	return sent;
}

/* One round without a slot.  Replaces *known; returns what was sent. */
static uint64
run_round(const EvRecoveryHost *host, Datum *known)
{
	EvBacklog	round = {.known = *known};
	List	   *relations;
	uint64		sent;

	host->begin();
	StartTransactionCommand();
	InvalidateSystemCaches();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	relations = ev_backlog_lock();
	round.now = ev_progress_transaction_snapshot();
	sent = send_rows(host, relations, &round);
	CommitTransactionCommand();
	host->drain();
	if (sent > 0)
		ev_progress_store(round.now, 0);
	pfree(DatumGetPointer(*known));
	*known = round.now;
	return sent;
}

/*
 * Makes a slot consistent; rounds go on while it has to wait.  It begins again
 * rather than hold back too much WAL: an orphaned prepared transaction can
 * make it wait for ever.
 */
static uint64
wait_for_slot(const EvRecoveryHost *host, Datum *known)
{
	uint64		sent = 0;
	EvInstant	next_round = ev_instant_now();
	TransactionId blocker;

	ev_slot_begin_birth();
	while (!ev_slot_birth_step(&blocker))
	{
		EvInstant	start = ev_instant_now();

		host->blocked(blocker);
		if (ev_wal_limit_exceeded())
			ev_slot_begin_birth_again();
		if (start >= next_round)
		{
			sent += run_round(host, known);
			next_round = ev_instant_now();
			next_round += Max(ROUND_INTERVAL * INT64CONST(1000),
							  (next_round - start) * ROUND_SHARE);
		}
		host->wait();
	}
	return sent;
}

/* The last round: what the slot's own first snapshot sees. */
static uint64
run_last_round(const EvRecoveryHost *host, Datum known)
{
	EvBacklog	round = {.known = known};
	TimeLineID	timeline;
	uint64		sent;

	host->begin();
	StartTransactionCommand();
	InvalidateSystemCaches();
	ev_slot_import_snapshot(host->wait);
	round.now = ev_progress_transaction_snapshot();
	sent = send_rows(host, ev_backlog_lock(), &round);
	CommitTransactionCommand();
	host->drain();
	ev_horizon(&timeline);
	while (!ev_progress_store(round.now, timeline))
		host->wait();
	host->settled();
	ev_slot_finish_birth();
	return sent;
}

/*
 * Publishes everything that "published" does not see and leaves a slot that
 * decoding can go on from.  Takes over "published".  Kafka must be reachable;
 * if it goes away meanwhile, this waits.
 */
void
ev_recovery_run(const EvRecoveryHost *host, Datum published)
{
	const char *from = DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
														   published));
	uint64		total = 0;
	uint64		sent;

	do
	{
		sent = run_round(host, &published);
		total += sent;
	} while (sent >= SHORT_ROUND);
	total += wait_for_slot(host, &published);
	total += run_last_round(host, published);
	if (total > 0)
		ereport(LOG,
				(errmsg("published %llu messages from the tables",
						(unsigned long long) total),
				 errdetail("They were committed after snapshot %s and before replication slot \"%s\" began; some of them may have been published before.",
						   from, ev_slot_name(MyDatabaseId))));
}
