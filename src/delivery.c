/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  From decoded message to acknowledged record.
 *
 * Here decoder and producer meet: messages come in through a sink, go to the
 * producer with the ticket of their transaction, and delivery reports, or the
 * commits of batches, free the tickets.  The window of open tickets answers the
 * one question that counts, which position is safe to confirm.
 *
 * Promises: a transaction that Kafka has not acknowledged whole is never
 * behind the safe position.  When Kafka refuses a message for good, or a row
 * cannot be a message, nothing is skipped: its ticket stays open until it is
 * stored as a dead letter.  With eventuate.on_refusal = stop that is for ever,
 * and what follows is not sent.
 *
 * With eventuate.exactly_once records go in batches, transactions of Kafka's,
 * and are acknowledged when their batch is committed.
 *
 * Parts: delivery_record.c (the window), delivery_send.c (what the producer has),
 * delivery_verdict.c (what was refused), delivery_again.c (what has come back),
 * delivery_letters.c (what will never be sent), delivery_batch.c (batches).
 *
 * Memory is bounded: by the producer's queue, and by the window.  When either
 * is full the sink waits, inside the decoding of a transaction; senders never
 * notice, WAL keeps the rest.
 *
 * A restart begins with an empty window at the confirmed position.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "delivery.h"
#include "delivery_again.h"
#include "delivery_batch.h"
#include "delivery_letters.h"
#include "delivery_record.h"
#include "delivery_send.h"
#include "lineup.h"
#include "refusal.h"
#include "settings.h"
#include "shared_outbox.h"

/* How often, in records, delivery reports are looked for while sending. */
#define SERVE_INTERVAL 64

static EvDatabase *me = NULL;
static EvInstant acknowledged_at = 0;

/*
 * Called once by the publisher.  "wait" serves delivery reports (through
 * ev_delivery_serve()) and returns after so many ms, or sooner; it may end
 * the process.
 */
void
ev_delivery_init(EvDatabase *database, void (*wait) (long timeout_ms))
{
	me = database;
	ev_delivery_record_init();
	ev_delivery_send_init(wait);
	ev_delivery_letters_init();
}

/*
 * Counts a message in, once there is room for its transaction.  NULL: Kafka has
 * it already.
 */
static EvRecord *
make_record(const EvOrigin *origin, const EvMessage *message)
{
	if (ev_delivery_begin(origin))
		while (ev_delivery_full())
			ev_delivery_wait();
	return ev_delivery_skip(origin) ? NULL :
		ev_delivery_make_record(origin, message);
}

/* Sends a message, or holds it, as soon as nothing has to go before it. */
static void
send_in_turn(EvRecord *record, const EvMessage *message)
{
	while (ev_delivery_failure() == NULL)
	{
		if (ev_refusal_holds(message->topic))
		{
			EvSpooled	held = ev_delivery_with_record(record, message);

			ev_refusal_hold(&held);
			ev_delivery_free_record(record);
			return;
		}
		if (ev_delivery_room() && ev_delivery_hand_over(record, message))
			return;
		ev_delivery_wait();
	}
}

/* Messages that were read, of the outbox that the last one is from. */
static struct
{
	Oid			outbox;
	uint64		messages;
	TimestampTz time;			/* of the last one */
}			seen = {InvalidOid};

/* Shows these: not for each message by itself, since others look on. */
static void
show_seen(void)
{
	if (seen.messages == 0)
		return;
	ev_shared_outbox_count(seen.outbox, seen.messages, seen.time);
	seen.messages = 0;
}

static void
count_seen(const EvOrigin *origin)
{
	if (unlikely(origin->outbox != seen.outbox))
		show_seen();
	seen.outbox = origin->outbox;
	seen.messages++;
	seen.time = origin->commit_time;
}

static void
take_message(const EvOrigin *origin, const EvMessage *message)
{
	EvMessage	stamped = *message;
	EvRecord   *record;

	if (ev_delivery_failure() != NULL ||
		(record = make_record(origin, message)) == NULL)
		return;
	if (stamped.timestamp == 0 &&
		ev_record_timestamp == EV_TIMESTAMP_COMMIT)
		record->timestamp = stamped.timestamp = ev_epoch_ms(origin->commit_time);
	count_seen(origin);
	send_in_turn(record, &stamped);

	/* A refusal should be known before much is sent behind it. */
	if (ev_lineup_returning() || ev_delivery_sent() % SERVE_INTERVAL == 0)
		ev_delivery_serve();
}

static void
take_malformed(const EvOrigin *origin, const EvMessage *message,
			   const char *row, const char *reason)
{
	EvRecord   *record;
	EvSpooled	refused;

	if (ev_delivery_failure() != NULL ||
		(record = make_record(origin, message)) == NULL)
		return;
	refused = ev_delivery_with_record(record, message);
	refused.error = psprintf("%s cannot be published: %s", row, reason);
	ev_shared_outbox_count_malformed(origin->outbox, refused.error);
	ev_delivery_bury(&refused);
	ev_delivery_free_record(record);
}

static void
take_commit(const EvOrigin *origin)
{
	ev_delivery_commit(origin);
}

/* What the decoder and recovery feed. */
const EvSink ev_delivery_sink = {
	.message = take_message,
	.malformed = take_malformed,
	.commit = take_commit
};

/* Shows the counters; messages and bytes are added to what others reset. */
static void
show_counters(void)
{
	static uint64 shown = 0;
	static uint64 shown_bytes = 0;
	static uint64 shown_buried = 0;
	uint64		acknowledged = ev_delivery_acknowledged();
	uint64		acknowledged_bytes = ev_delivery_acknowledged_bytes();
	uint64		buried = ev_delivery_buried();

	show_seen();
	if (acknowledged != shown)
		acknowledged_at = ev_instant_now();
	SpinLockAcquire(&me->mutex);
	me->messages += acknowledged - shown;
	me->bytes += acknowledged_bytes - shown_bytes;
	me->dead_letters += buried - shown_buried;
	me->in_flight = ev_delivery_in_flight();
	me->unconfirmed = ev_delivery_unconfirmed();
	SpinLockRelease(&me->mutex);
	shown = acknowledged;
	shown_bytes = acknowledged_bytes;
	shown_buried = buried;
}

/*
 * Takes all delivery reports that are there.  Where records were refused this
 * takes as long as it takes to find the culprit.
 */
void
ev_delivery_serve(void)
{
	ev_delivery_poll();
	if (ev_batch_on())
		ev_delivery_batch_serve();
	if (ev_lineup_returning() || ev_lineup_first() != NULL || ev_refusal_any())
		ev_delivery_try_again();
	show_counters();
}

/*
 * May tables be read and written now?  Not by whoever waits in the middle of
 * a transaction's messages.
 */
bool
ev_delivery_may_use_tables(void)
{
	return !IsTransactionState() && ev_delivery_between();
}

/* When Kafka last acknowledged anything; 0: not yet. */
EvInstant
ev_delivery_acknowledged_at(void)
{
	return acknowledged_at;
}
