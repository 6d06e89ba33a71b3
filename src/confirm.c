/*-------------------------------------------------------------------------
 *
 * confirm.c
 *	  The one rule.
 *
 * The slot is confirmed to the end of the newest transaction such that it and
 * every transaction before it is acknowledged by Kafka, or had nothing for us.
 * Everybody who lost messages broke this rule; so it has a file of its own.
 *
 * With eventuate.exactly_once it is not confirmed past the position that Kafka
 * keeps, either: should Kafka have lost its own, that shows.
 *
 * Owns the confirmed position, the times at which the slot is saved, and the
 * snapshot that is stored for the day when the slot is lost.
 *
 * A restart goes on from the position saved last: what was acknowledged after
 * that, about 100 ms of traffic, is sent again.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/timestamp.h"

#include "confirm.h"
#include "delivery.h"
#include "horizon.h"
#include "progress.h"
#include "slot.h"

/* All in ms. */
#define SAVE_INTERVAL 100
#define IDLE_SAVE_INTERVAL 10000	/* nothing of ours was confirmed */
#define PROGRESS_INTERVAL 10000

static EvDatabase *me = NULL;

/* What is published, what is confirmed, what of it is saved, and when. */
static XLogRecPtr published = InvalidXLogRecPtr;
static XLogRecPtr confirmed = InvalidXLogRecPtr;
static XLogRecPtr saved = InvalidXLogRecPtr;
static uint64 saved_acknowledged = 0;
static EvInstant saved_at = 0;

/* What will be known once "behind" is confirmed; 0: nothing is on its way. */
static Datum snapshot = (Datum) 0;
static XLogRecPtr behind = InvalidXLogRecPtr;

/*
 * How much was acknowledged when it was taken, and for the one stored last; at
 * first, nobody knows: a predecessor may have left without storing it.
 */
static uint64 taken = 0;
static uint64 stored = PG_UINT64_MAX;
static EvInstant stored_at = 0;

/* Begins at "lsn", where the slot that was just opened is confirmed. */
void
ev_confirm_begin(EvDatabase *database, XLogRecPtr lsn)
{
	me = database;
	published = confirmed = saved = lsn;
}

static void
save_slot(EvInstant now)
{
	if (confirmed > saved)
		ev_slot_save();
	saved = confirmed;
	saved_acknowledged = ev_delivery_acknowledged();
	saved_at = now;
}

/* Saves what is confirmed: before the process leaves. */
void
ev_confirm_save(void)
{
	save_slot(saved_at);
}

static void
show_position(XLogRecPtr lsn, TimestampTz through)
{
	SpinLockAcquire(&me->mutex);
	me->published_lsn = lsn;
	if (through > me->published_through)
		me->published_through = through;
	SpinLockRelease(&me->mutex);
}

/*
 * Confirms what is safe.  With nothing in flight that is everything that was
 * read, so that WAL which is not ours is set free too.  "end_seen_at" is when
 * the end of WAL was last seen; 0: not yet.
 */
void
ev_confirm(EvInstant now, TimestampTz end_seen_at)
{
	bool		idle = ev_delivery_idle();
	XLogRecPtr	safe = idle ? ev_slot_position() : ev_delivery_safe_lsn();

	published = Max(published, safe);
	safe = ev_delivery_confirmable(safe);
	if (safe > confirmed)
	{
		Assert(safe <= ev_slot_position());
		ev_slot_confirm(safe);
		confirmed = safe;
	}
	show_position(published, idle && end_seen_at != 0 ? end_seen_at :
				  ev_delivery_safe_time());

	if (confirmed > saved &&
		now - saved_at >= (ev_delivery_acknowledged() != saved_acknowledged ?
						   SAVE_INTERVAL : IDLE_SAVE_INTERVAL) * INT64CONST(1000))
		save_slot(now);
}

/*
 * Takes a snapshot, to be stored when every message that it sees is confirmed.
 * Not where it would be the same: an idle database writes nothing.
 */
static void
take_snapshot(void)
{
	if (snapshot != (Datum) 0)
		pfree(DatumGetPointer(snapshot));
	snapshot = (Datum) 0;
	if (ev_delivery_acknowledged() == stored)
		return;
	taken = ev_delivery_acknowledged();
	snapshot = ev_progress_current_snapshot();
	behind = ev_horizon_inserted();
}

/*
 * Stores now and then a snapshot of which every message is acknowledged: what
 * is known if the slot is ever lost.  Not in a transaction.
 */
void
ev_confirm_store_progress(EvInstant now)
{
	TimeLineID	timeline;

	if (snapshot == (Datum) 0 &&
		now - stored_at >= PROGRESS_INTERVAL * INT64CONST(1000))
		take_snapshot();
	if (snapshot == (Datum) 0 || published < behind)
		return;
	ev_horizon(&timeline);
	if (ev_progress_store(snapshot, timeline))
		stored = taken;
	pfree(DatumGetPointer(snapshot));
	snapshot = (Datum) 0;

	/* The first message need not wait for what a start has stored. */
	stored_at = stored == 0 ? 0 : now;
}

/*
 * Before the process leaves: what is committed now is to be stored as soon as
 * it is confirmed.  Not in a transaction.
 */
void
ev_confirm_hurry_progress(void)
{
	take_snapshot();
	if (snapshot != (Datum) 0)
		XLogFlush(behind);
}

/* Is something still to be confirmed before it can be stored? */
bool
ev_confirm_progress_pending(void)
{
	return snapshot != (Datum) 0;
}
