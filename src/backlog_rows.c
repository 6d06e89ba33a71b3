/*-------------------------------------------------------------------------
 *
 * backlog_rows.c
 *	  Which rows of an outbox are messages, and which of those are published?
 *
 * Told from a row itself, as a scan of the table brings it.  Which transaction
 * inserted it is told by its column txid, the top-level transaction, which
 * UPDATE and freezing leave alone; in a table without one by xmin.
 *
 * Promises: where it cannot be told, a row is published once more rather than
 * not at all, and is not deleted.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "backlog_rows.h"
#include "message.h"
#include "moment.h"
#include "outbox.h"

static bool
sees(Datum snapshot, Datum txid)
{
	return DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, txid, snapshot));
}

/* Which transaction, or subtransaction, inserted the row. */
TransactionId
ev_backlog_row_xmin(TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber,
												 &isnull));
}

/*
 * Is a row, by its xmin, older than anything that was running when a snapshot
 * was taken?  xmin has 32 bits: what is too far away to tell is not.
 */
static bool
xmin_is_known(TransactionId xmin, Datum snapshot)
{
	FullTransactionId oldest = DatumGetFullTransactionId(DirectFunctionCall1(pg_snapshot_xmin, snapshot));
	uint64		age = U64FromFullTransactionId(ReadNextFullTransactionId()) -
	U64FromFullTransactionId(oldest);

	return TransactionIdIsNormal(xmin) && age < UINT64CONST(0x7fffffff) &&
		TransactionIdPrecedes(xmin, XidFromFullTransactionId(oldest));
}

/*
 * Is a txid one of this cluster?  A row cannot be older than the transaction
 * that inserted it.
 */
static bool
is_of_this_cluster(FullTransactionId txid, TransactionId xmin)
{
	if (FullTransactionIdFollowsOrEquals(txid, ReadNextFullTransactionId()))
		return false;
	return !TransactionIdIsNormal(xmin) ||
		!TransactionIdPrecedes(xmin, XidFromFullTransactionId(txid));
}

/*
 * Was the row inserted while the table was attached?  "txid" is NULL where
 * the row has none.  In doubt it was: then it is published once too often.
 */
static bool
is_within(const EvPeriod *period, TransactionId xmin, const Datum *txid)
{
	const EvMoment *since = &period->since;
	const EvMoment *until = &period->until;

	if (ev_moment_counts(since) &&
		(txid ? ev_moment_sees_txid(since, *txid) :
		 ev_moment_sees_xmin(since, xmin, false)))
		return false;
	return !ev_moment_counts(until) ||
		(txid ? ev_moment_sees_txid(until, *txid) :
		 ev_moment_sees_xmin(until, xmin, true));
}

static bool
is_message(const EvLabel *label, TransactionId xmin, const Datum *txid)
{
	for (int i = 0; i < label->earlier_count; i++)
	{
		if (ev_moment_counts(&label->earlier[i].until) &&
			is_within(&label->earlier[i], xmin, txid))
			return true;
	}
	return is_within(&label->period, xmin, txid);
}

/* Is a row one of those to publish? */
bool
ev_backlog_wants(const EvBacklog *backlog, const EvOutbox *outbox,
				 TupleTableSlot *slot)
{
	AttrNumber	column = outbox->columns[EV_COLUMN_TXID];
	TransactionId xmin = ev_backlog_row_xmin(slot);
	bool		isnull = true;
	Datum		txid = (Datum) 0;

	if (backlog->known == (Datum) 0)
		return backlog->filter == NULL || backlog->filter(outbox, slot);
	if (column != 0 && outbox->problem == NULL)
		txid = slot_getattr(slot, column, &isnull);
	if (isnull)
		return !xmin_is_known(xmin, backlog->known) &&
			is_message(&outbox->label, xmin, NULL);
	return is_of_this_cluster(DatumGetFullTransactionId(txid), xmin) &&
		sees(backlog->now, txid) && !sees(backlog->known, txid) &&
		is_message(&outbox->label, xmin, &txid);
}

/*
 * Was the row certainly inserted while the table was attached?  Unlike
 * is_within(), in doubt it was not.
 */
static bool
is_surely_within(const EvPeriod *period, TransactionId xmin, const Datum *txid)
{
	const EvMoment *since = &period->since;

	return !ev_moment_counts(since) ||
		!(txid ? ev_moment_sees_txid(since, *txid) :
		  ev_moment_sees_xmin(since, xmin, true));
}

/*
 * Was a row published by us, by what "published" sees?  What was there before
 * the table was attached was not.  No, where that cannot be told.
 */
bool
ev_backlog_is_published(const EvOutbox *outbox, TupleTableSlot *slot,
						Datum published)
{
	AttrNumber	column = outbox->columns[EV_COLUMN_TXID];
	const EvPeriod *period = &outbox->label.period;
	TransactionId xmin = ev_backlog_row_xmin(slot);
	bool		isnull = true;
	Datum		txid = (Datum) 0;

	if (outbox->problem != NULL)
		return false;
	if (column != 0)
		txid = slot_getattr(slot, column, &isnull);
	if (isnull)
		return xmin_is_known(xmin, published) &&
			is_surely_within(period, xmin, NULL);
	return is_of_this_cluster(DatumGetFullTransactionId(txid), xmin) &&
		sees(published, txid) && is_surely_within(period, xmin, &txid);
}

/* When a row was made; false: nobody knows. */
bool
ev_backlog_row_time(const EvOutbox *outbox, TupleTableSlot *slot,
					TimestampTz *time)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	AttrNumber	column = ev_outbox_age_column(outbox, desc);
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (column != 0)
		value = slot_getattr(slot, column, &isnull);
	if (isnull)
		return false;
	*time = getBaseType(TupleDescAttr(desc, column - 1)->atttypid) == INT8OID ?
		ev_time_of_epoch_ms(DatumGetInt64(value)) : DatumGetTimestampTz(value);
	return true;
}
