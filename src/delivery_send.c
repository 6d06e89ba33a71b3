/*-------------------------------------------------------------------------
 *
 * delivery_send.c
 *	  Records that the producer has.
 *
 * A record is handed to the producer, which has it until a delivery report says
 * what became of it, or in a batch until it is counted as stored.  How many it
 * may have is limited after a refusal: first one, then ever more, so that
 * refusals that come one upon the other cost little.  A suspect is sent with
 * nothing else beside it.
 *
 * A restart finds the producer empty.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"

#include "batch.h"
#include "delivery.h"
#include "delivery_batch.h"
#include "delivery_send.h"
#include "delivery_verdict.h"
#include "lineup.h"
#include "producer.h"
#include "producer_tally.h"
#include "refusal.h"
#include "worker.h"

/* More records than this in the producer are as many as there is room for. */
#define LARGEST_LIMIT 65536

static void (*wait_for_room) (long timeout_ms) = NULL;

static uint64 sent = 0;
static uint64 acknowledged = 0;
static uint64 acknowledged_bytes = 0;

/*
 * Records that the producer has got, and of which it has told the end.  Without
 * batches those that it has, the oldest first.  How many it may have.
 */
static uint64 handed = 0;
static uint64 reported = 0;
static dlist_head producer_records = DLIST_STATIC_INIT(producer_records);
static uint64 limit = PG_UINT64_MAX;

/* When delivery reports were last looked for, which is all the time. */
static EvInstant polled_at = 0;

/* Is a suspect being tried, so that nothing may be sent beside it? */
static bool trying_alone = false;

/* Called once, with what ev_delivery_init() got. */
void
ev_delivery_send_init(void (*wait) (long timeout_ms))
{
	wait_for_room = wait;
}

/* Records that the producer has. */
static uint64
in_producer(void)
{
	return handed - reported - ev_producer_stored();
}

/* Nothing is sent for a while: what was sent need not wait for more. */
void
ev_delivery_push(void)
{
	static uint64 pushed = 0;

	if (pushed == sent)
		return;
	pushed = sent;
	ev_producer_push();
}

/*
 * Has Kafka answered all that was sent?  Batches have their own time: they are
 * answered when they are committed.
 */
bool
ev_delivery_answered(void)
{
	return in_producer() == 0 || ev_batch_on();
}

/* Takes delivery reports for so many ms, or not so long; may end the process. */
void
ev_delivery_wait_for(long timeout_ms)
{
	ev_delivery_push();
	wait_for_room(timeout_ms);
}

/* The same, for a while. */
void
ev_delivery_wait(void)
{
	ev_delivery_wait_for(EV_FALLBACK_POLL);
}

/* May the producer have one record more?  Not beside a suspect. */
bool
ev_delivery_room(void)
{
	return !trying_alone && in_producer() < limit;
}

/* Has the producer nothing? */
bool
ev_delivery_producer_empty(void)
{
	return in_producer() == 0;
}

/* Is a suspect being tried? */
bool
ev_delivery_trying(void)
{
	return trying_alone;
}

/* The producer has nothing, and so no suspect. */
void
ev_delivery_nothing_tried(void)
{
	trying_alone = false;
}

/* How many records the producer may have, or a batch. */
uint64
ev_delivery_limit(void)
{
	return limit;
}

/* From now on a few records at a time. */
void
ev_delivery_begin_small(void)
{
	limit = 1;
}

/* See ev_delivery_hand_over(). */
static bool
hand_over(EvRecord *record, const EvMessage *message)
{
	const char *error_name;
	const char *error;
	EvSendResult result;

	result = ev_producer_send(message, (uint64) (uintptr_t) record,
							  &error_name, &error);
	if (result == EV_SEND_FULL)
		return false;
	sent++;
	record->attempts++;
	if (result == EV_SEND_REFUSED)
	{
		EvSpooled	refused = ev_delivery_with_record(record, message);

		refused.error_name = error_name;
		refused.error = error;
		ev_delivery_refuse(record, &refused, true, false);
	}
	else
	{
		handed++;
		trying_alone |= record->trial == EV_TRIAL_ALONE;
		if (ev_batch_on())
			ev_delivery_batch_sent(record);
		else
		{
			record->handed_at = polled_at;
			dlist_push_tail(&producer_records, &record->node);
		}
	}
	return true;
}

/* The batch has a copy, and with it the message. */
static bool
hand_over_to_batch(EvRecord *record, const EvMessage *message)
{
	EvRecord   *member;

	if (!ev_batch_takes(limit) || !ev_batch_join())
		return false;
	member = ev_delivery_batch_keep(record, message);
	if (!hand_over(member, member->kept))
	{
		/* There will be room when the batch has come to its end. */
		ev_delivery_free_record(member);
		ev_batch_close();
		return false;
	}
	ev_delivery_free_record(record);
	return true;
}

/*
 * Hands a record to the producer; false: there is no room, and the record
 * stays the caller's.
 */
bool
ev_delivery_hand_over(EvRecord *record, const EvMessage *message)
{
	return ev_batch_on() ? hand_over_to_batch(record, message) :
		hand_over(record, message);
}

/* After a refusal ever more is sent at a time, as long as Kafka takes it. */
static void
raise_limit(void)
{
	static uint64 taken = 0;

	if (limit > LARGEST_LIMIT)
		limit = PG_UINT64_MAX;
	else if (++taken >= limit)
	{
		taken = 0;
		limit *= 2;
	}
}

/* Kafka has it, for good: what that says of its topic. */
void
ev_delivery_accepted(const EvRecord *record, const char *topic)
{
	if (record->trial == EV_TRIAL_TOPIC)
	{
		EvSpool    *held = ev_refusal_release(topic);

		ev_spool_drop(held);
		ev_lineup_release(held);
	}
	if (ev_refusal_any())
		ev_refusal_accepted(topic);
}

/* Kafka has so many more records, of so many bytes, for good. */
void
ev_delivery_acknowledged_more(uint64 count, size_t bytes)
{
	acknowledged += count;
	acknowledged_bytes += bytes;
	while (limit != PG_UINT64_MAX && count-- > 0)
		raise_limit();
}

static void
acknowledge(EvRecord *record, const char *topic, size_t bytes)
{
	ev_delivery_acknowledged_more(1, bytes);
	ev_delivery_accepted(record, topic);
	ev_delivery_done(record->ticket);
	ev_delivery_free_record(record);
}

/* One delivery report. */
static void
take_report(const EvDelivery *delivery)
{
	EvRecord   *record = (EvRecord *) (uintptr_t) delivery->ticket;
	EvMessage	message = {0};
	EvSpooled	refused;

	reported++;
	if (record->trial == EV_TRIAL_ALONE)
		trying_alone = false;
	if (ev_batch_on())
		ev_delivery_batch_failed(record);
	else
		dlist_delete(&record->node);
	if (delivery->delivered)
	{
		Assert(!ev_batch_on());
		acknowledge(record, delivery->topic,
					delivery->key_length + delivery->value_length);
		return;
	}
	message.id = record->id;
	message.topic = delivery->topic;
	message.key = delivery->key;
	message.key_length = delivery->key_length;
	message.value = delivery->value;
	message.value_length = delivery->value_length;
	message.headers = delivery->headers;
	message.header_count = delivery->header_count;
	message.partition = record->partition;
	message.timestamp = record->timestamp;
	refused = ev_delivery_with_record(record, &message);
	refused.error_name = delivery->error_name;
	refused.error = delivery->error;
	ev_delivery_refuse(record, &refused, false, delivery->undecided);
}

/* Takes all delivery reports that are there. */
void
ev_delivery_poll(void)
{
	polled_at = ev_instant_now();
	ev_producer_poll(take_report);
}

/* When the oldest record that waits for Kafka was sent; 0: none waits. */
EvInstant
ev_delivery_oldest(void)
{
	if (ev_batch_on())
		return ev_batch_since();
	return dlist_is_empty(&producer_records) ? 0 :
		dlist_head_element(EvRecord, node, &producer_records)->handed_at;
}

/* Messages handed to the producer since the process began. */
uint64
ev_delivery_sent(void)
{
	return sent;
}

/* Messages acknowledged since the process began. */
uint64
ev_delivery_acknowledged(void)
{
	return acknowledged;
}

/* Keys and values of those, in bytes. */
uint64
ev_delivery_acknowledged_bytes(void)
{
	return acknowledged_bytes;
}
