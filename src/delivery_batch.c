/*-------------------------------------------------------------------------
 *
 * delivery_batch.c
 *	  Records that count only together.
 *
 * With eventuate.exactly_once records go in batches, transactions of Kafka's
 * (batch.c).  What Kafka has stored stays here, with its message, until the
 * batch is committed; only then it is acknowledged.  A refusal breaks the
 * batch: all of it comes back, and is sent again as what was refused is.
 *
 * With each batch goes the position that it brings us to.  A large transaction
 * may be in several batches: the position then says how many of its rows.
 *
 * Promises: a position is never past a message that is not in this batch, in
 * one before it, or stored as a dead letter.
 *
 * A restart begins at the position that Kafka keeps.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "batch.h"
#include "delivery.h"
#include "delivery_batch.h"
#include "delivery_letters.h"
#include "delivery_send.h"
#include "lineup.h"

/* So many records ahead memory is asked for. */
#define AHEAD 64

/* Records of the batch that Kafka has stored; behind the newest that was sent. */
static List *stored = NIL;
static EvPosition behind_newest;

/* Is nothing more to be sent for now? */
static bool flushing = false;

/* The producer has it. */
void
ev_delivery_batch_sent(const EvRecord *record)
{
	behind_newest = ev_delivery_position_of(record);
	behind_newest.rows++;
	ev_batch_add(record->kept->key_length + record->kept->value_length);
}

/* Kafka has stored it.  It is ours from now on. */
void
ev_delivery_batch_stored(EvRecord *record)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	stored = lappend(stored, record);
	MemoryContextSwitchTo(old_context);
}

/* The record's turn comes soon: it was not touched since it was stored. */
static void
ask_for(int i)
{
	if (i + AHEAD < list_length(stored))
		ev_prefetch(list_nth(stored, i + AHEAD));
	if (i + AHEAD / 2 < list_length(stored))
		ev_prefetch(((EvRecord *) list_nth(stored, i + AHEAD / 2))->kept);
}

static void
forget_stored(void)
{
	list_free(stored);
	stored = NIL;
	flushing = false;
}

/* The batch is committed. */
static void
acknowledge(void)
{
	for (int i = 0; i < list_length(stored); i++)
	{
		EvRecord   *record = list_nth(stored, i);

		ask_for(i);
		ev_delivery_acknowledge(record, record->kept->topic,
								record->kept->key_length + record->kept->value_length);
	}
	forget_stored();
}

/* The batch is aborted: what Kafka had stored of it comes back as well. */
static void
return_all(void)
{
	for (int i = 0; i < list_length(stored); i++)
	{
		EvRecord   *record = list_nth(stored, i);
		EvSpooled	message = ev_delivery_with_record(record, record->kept);

		ev_lineup_return(&message, record->number);
		ev_delivery_free_record(record);
	}
	forget_stored();
}

/* Where a commit brings us to. */
static EvPosition
reached(void)
{
	if (ev_delivery_letters_wait())
		return ev_delivery_first_letter();
	return ev_delivery_between() && !ev_lineup_returning() &&
		ev_lineup_first() == NULL && ev_delivery_failure() == NULL ?
		ev_delivery_whole() : behind_newest;
}

/*
 * Closes the batch when it is time, and has it committed once letters that can
 * be stored are stored.
 */
void
ev_delivery_batch_serve(void)
{
	EvPosition	position;

	switch (ev_batch_step(ev_delivery_producer_empty()))
	{
		case EV_BATCH_COMMITTED:
			Assert(ev_delivery_producer_empty());
			acknowledge();
			break;
		case EV_BATCH_ABORTED:
			return_all();
			break;
		case EV_BATCH_NO_NEWS:
			break;
	}
	if (flushing || ev_batch_ripe(ev_instant_now(), ev_delivery_limit()))
		ev_batch_close();
	if (ev_batch_is_closed() &&
		(!ev_delivery_may_use_tables() || !ev_delivery_letters_wait()))
	{
		position = reached();
		ev_batch_commit(&position);
	}
}

/* Nothing more is to be sent for now: a batch need not wait for it. */
void
ev_delivery_flush(void)
{
	flushing = ev_batch_on() && ev_batch_count() > 0;
	if (flushing)
		ev_delivery_serve();
}

/*
 * Decoding begins at this position, which Kafka keeps, or is to keep from now
 * on.  Rows that are published already will be left out.
 */
void
ev_delivery_resume(const EvPosition *from)
{
	ev_delivery_start_at(from);
	ev_batch_resume(from->lsn);
}

/*
 * Has Kafka keep a position up to which there is nothing to send.  False: not
 * now.
 */
bool
ev_delivery_store_position(XLogRecPtr lsn)
{
	EvPosition	position = {lsn, 0, InvalidXLogRecPtr};

	if (!ev_delivery_between() || ev_delivery_has_part() ||
		!ev_delivery_idle() || !ev_batch_is_new())
		return false;
	ev_delivery_pass(lsn);
	ev_batch_commit(&position);
	return true;
}

/* Of what is safe: how far may the slot be confirmed? */
XLogRecPtr
ev_delivery_confirmable(XLogRecPtr safe)
{
	return ev_batch_on() ? Min(safe, ev_batch_committed()) : safe;
}
