/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  A moment in the life of a cluster: who was finished, who was running.
 *
 * The label of an outbox remembers since when, and until when, rows of the
 * table are messages.  Decoding knows that from the write-ahead log; whoever
 * reads the table itself, after the loss of a slot, tells it by these: from a
 * row's column txid, or, where there is none, from its xmin.
 *
 * Promises: with a column txid the answer is right.  By xmin it is as long as
 * PostgreSQL itself knew all subtransactions that were running; else the
 * caller says what is to be assumed.
 *
 * A moment is text in the label, so a restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/snapshot.h"
#include "utils/xid8.h"

#include "lineage.h"
#include "moment.h"

/* Ranges of xids that are longer are not looked through. */
#define MAX_RANGE 10000

/* Transactions that were running, subtransactions among them. */
typedef struct Running
{
	uint64	   *xids;
	int			count;
} Running;

/* The 64 bits of an xid that is not older than half of all. */
static uint64
widen(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();

	return U64FromFullTransactionId(next) -
		(uint32) (XidFromFullTransactionId(next) - xid);
}

static void
add_all(Running *running, const TransactionId *xids, int count)
{
	for (int i = 0; i < count; i++)
		running->xids[running->count++] = widen(xids[i]);
}

/*
 * Adds those of a range of xids that are the current transaction's own, or
 * those that are not.  False: the range is too long.
 */
static bool
add_range(Running *running, uint64 from, uint64 to, bool ours)
{
	if (to > from && to - from > MAX_RANGE)
		return false;
	for (uint64 xid = from; xid < to; xid++)
	{
		if (TransactionIdIsNormal((TransactionId) xid) &&
			TransactionIdIsCurrentTransactionId((TransactionId) xid) == ours)
			running->xids[running->count++] = xid;
	}
	return true;
}

static int
compare_xids(const void *left, const void *right)
{
	uint64		a = *(const uint64 *) left;
	uint64		b = *(const uint64 *) right;

	return a < b ? -1 : a > b;
}

static char *
format_moment(const char *snapshot, bool overflowed, const char *system,
			  Oid database)
{
	return psprintf("{\"snapshot\": \"%s\", %s\"system\": \"%s\", \"database\": %u}",
					snapshot, overflowed ? "\"overflowed\": true, " : "",
					system, database);
}

static char *
format_snapshot(uint64 xmin, uint64 xmax, Running *running)
{
	StringInfoData text;

	qsort(running->xids, running->count, sizeof(uint64), compare_xids);
	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":", xmin, xmax);
	for (int i = 0; i < running->count; i++)
		appendStringInfo(&text, "%s" UINT64_FORMAT, i > 0 ? "," : "",
						 running->xids[i]);
	return text.data;
}

/*
 * This moment, as JSON.  What the current transaction has done counts as done
 * ("with us") or as yet to be done.  Gives the transaction an xid.
 */
char *
ev_moment_now(bool with_us)
{
	uint64		own = U64FromFullTransactionId(GetTopFullTransactionId());
	Snapshot	snapshot = GetLatestSnapshot();
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		xmin = widen(snapshot->xmin);
	uint64		xmax = widen(snapshot->xmax);
	bool		overflowed = snapshot->suboverflowed;
	Running		running = {0};

	running.xids = palloc(sizeof(uint64) *
						  (snapshot->xcnt + Max(snapshot->subxcnt, 0) + MAX_RANGE + 1));
	add_all(&running, snapshot->xip, snapshot->xcnt);
	add_all(&running, snapshot->subxip, snapshot->subxcnt);
	if (with_us)
	{
		/* Too long a range: who is not named counts as done. */
		(void) add_range(&running, xmax, next, false);
		xmax = Max(xmax, next);
	}
	else if (!add_range(&running, own, xmax, true))
	{
		running.xids[running.count++] = own;
		overflowed = true;
	}
	return format_moment(format_snapshot(Min(xmin, own), xmax, &running), overflowed,
						 psprintf(UINT64_FORMAT, ev_lineage()),
						 MyDatabaseId);
}

/* A moment that was read, as JSON again. */
char *
ev_moment_print(const EvMoment *moment)
{
	return format_moment(DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
															 moment->snapshot)),
						 moment->overflowed, moment->system, moment->database);
}

bool
ev_moment_is_given(const EvMoment *moment)
{
	return moment->snapshot != (Datum) 0;
}

/* Is there such a moment, and was it here, not where the table comes from? */
bool
ev_moment_counts(const EvMoment *moment)
{
	return ev_moment_is_given(moment) && moment->database == MyDatabaseId &&
		strtoull(moment->system, NULL, 10) == ev_lineage();
}

/* Had the transaction, a top-level one, ended by then? */
bool
ev_moment_sees_txid(const EvMoment *moment, Datum txid)
{
	return DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, txid,
											moment->snapshot));
}

/*
 * The same of a row's xmin, which may be a subtransaction's.  A moment that
 * xids of 32 bits do not reach leaves everything in doubt.
 */
bool
ev_moment_sees_xmin(const EvMoment *moment, TransactionId xmin,
					bool if_in_doubt)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		oldest = DatumGetUInt64(DirectFunctionCall1(pg_snapshot_xmin,
															moment->snapshot));
	bool		seen;

	if (!TransactionIdIsNormal(xmin) || next - oldest >= UINT64CONST(0x7fffffff))
		return if_in_doubt;
	seen = ev_moment_sees_txid(moment, UInt64GetDatum(widen(xmin)));
	if (seen && moment->overflowed && widen(xmin) >= oldest)
		return if_in_doubt;
	return seen;
}
