/*-------------------------------------------------------------------------
 *
 * delivery.c
 *	  From decoded message to acknowledged record.
 *
 * Here decoder and producer meet: messages come in through a sink, go to the
 * producer with the ticket of their transaction, and delivery reports free
 * the tickets.  The window of open tickets answers the one question that
 * counts, which position is safe to confirm.
 *
 * Promises: a transaction that Kafka has not acknowledged whole is never
 * behind the safe position.  When Kafka refuses a message for good, or a row
 * cannot be a message, nothing is skipped: its ticket stays open until it is
 * stored as a dead letter.  With eventuate.on_refusal = stop that is for ever,
 * and what follows is not sent.
 *
 * Kafka refuses a batch for one record in it; so records that come back are
 * sent again one by one before any is held to be refused.  What was to follow
 * them is called back, and goes behind them again: first a few records, then
 * ever more, so that refusals that come one upon the other cost little.  What
 * a broker is already busy with cannot be called back; librdkafka's sequence
 * numbers make the broker refuse that as well.
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

#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "lineup.h"
#include "dead_letter.h"
#include "delivery.h"
#include "inflight.h"
#include "producer.h"
#include "refusal.h"
#include "settings.h"
#include "spool.h"

/* More records than this in the producer are as many as there is room for. */
#define LARGEST_LIMIT 65536

/* How often, in records, delivery reports are looked for while sending. */
#define SERVE_INTERVAL 64

/* Dead letters that are stored in one transaction. */
#define LETTER_BATCH 500

/* Is the record a test? */
typedef enum Trial
{
	TRIAL_NONE,
	TRIAL_ALONE,				/* of itself: it may be what Kafka refuses */
	TRIAL_TOPIC					/* of its topic; the message is also held */
} Trial;

/* What is known of a record until it is acknowledged; the producer's opaque. */
typedef struct Record
{
	EvTicket	ticket;
	EvOrigin	origin;
	uint64		number;			/* in the order of decoding */
	int64		position;		/* of the message in its transaction */
	int32		partition;		/* these two as they were asked for */
	int64		timestamp;
	int			attempts;
	dlist_node	node;			/* of producer_records, while it is there */
	EvInstant	handed_at;		/* since when it is there */
	bool		suspect;		/* was refused, perhaps for another's sake */
	Trial		trial;
	char		id[FLEXIBLE_ARRAY_MEMBER];
} Record;

static EvDatabase *me = NULL;
static void (*wait_for_room) (void) = NULL;
static EvInflight *window = NULL;
static MemoryContext record_context = NULL;
static MemoryContext letter_context = NULL;

/* The transaction that the sink is being fed. */
static bool ticket_open = false;
static EvTicket ticket;
static int64 position;

static uint64 sent = 0;
static uint64 acknowledged = 0;
static uint64 acknowledged_bytes = 0;
static EvInstant acknowledged_at = 0;
static uint64 buried = 0;

/* Records that the producer has, the oldest first; how many it may have. */
static dlist_head producer_records = DLIST_STATIC_INIT(producer_records);
static uint64 in_producer = 0;
static uint64 limit = PG_UINT64_MAX;

/* Will never be taken: to be stored as dead letters. */
static EvSpool *letters = NULL;

/* Why nothing more can be sent; NULL: all is well. */
static char *failure = NULL;

/* Is a suspect being tried, so that nothing may be sent beside it? */
static bool trying_alone = false;

/*
 * Called once by the publisher.  "wait" serves delivery reports (through
 * ev_delivery_serve()) and returns after a while; it may end the process.
 */
void
ev_delivery_init(EvDatabase *database, void (*wait) (void))
{
	me = database;
	wait_for_room = wait;
	window = ev_inflight_create();
	letters = ev_spool_create();
	letter_context = AllocSetContextCreate(TopMemoryContext,
										   "eventuate dead letter",
										   ALLOCSET_DEFAULT_SIZES);
	record_context = AllocSetContextCreate(TopMemoryContext,
										   "eventuate records in flight",
										   ALLOCSET_DEFAULT_SIZES);
}

static void
fail(const char *reason)
{
	if (failure == NULL)
		failure = MemoryContextStrdup(TopMemoryContext, reason);
}

static void
begin_transaction(const EvOrigin *origin)
{
	/* In this order: with nothing open all that was read would be safe. */
	ticket = ev_inflight_begin(window, origin->end_lsn, origin->commit_time);
	ticket_open = true;
	position = 0;
	while (ev_inflight_full(window))
		wait_for_room();
}

/* Counts a message in: from now on its transaction waits for it. */
static Record *
make_record(const EvOrigin *origin, const EvMessage *message)
{
	static uint64 count = 0;
	size_t		length = message->id ? strlen(message->id) : 0;
	Record	   *record;

	if (!ticket_open)
		begin_transaction(origin);
	record = MemoryContextAllocZero(record_context,
									offsetof(Record, id) + length + 1);
	record->ticket = ticket;
	record->origin = *origin;
	record->number = count++;
	record->position = position++;
	record->partition = message->partition;
	record->timestamp = message->timestamp;
	memcpy(record->id, message->id ? message->id : "", length + 1);
	ev_inflight_add(window, ticket);
	return record;
}

/* A record of what was put away. */
static Record *
copy_record(const EvSpooled *message)
{
	Record	   *record = MemoryContextAlloc(record_context, message->record_length);

	memcpy(record, message->record, message->record_length);
	return record;
}

/* A message to be put away together with its record, which stays. */
static EvSpooled
with_record(Record *record, const EvMessage *message)
{
	EvSpooled	spooled = {record, offsetof(Record, id) + strlen(record->id) + 1,
	*message, NULL, NULL};

	return spooled;
}

/* Is a message never to be sent: a dead letter, or the end of it all? */
static void
bury(const EvSpooled *refused)
{
	const Record *record = refused->record;

	if (ev_on_refusal == EV_REFUSAL_DEAD_LETTER)
		ev_spool_put(letters, refused);
	else if (refused->error_name == NULL)
		fail(refused->error);
	else
		fail(psprintf("Kafka refuses message \"%s\" of transaction %u for topic \"%s\": %s (%s)",
					  record->id, record->origin.xid, refused->message.topic,
					  refused->error, refused->error_name));
}

/*
 * Kafka's last word on a message, unless its topic is given some time; what is
 * held for that is no suspect anymore.
 */
static void
judge(const EvSpooled *refused)
{
	((Record *) refused->record)->suspect = false;
	if (!ev_refusal_hold(refused, ev_instant_now()))
		bury(refused);
}

/* What was held, and was refused for the last time like its first message. */
static void
bury_all(EvSpool *held, const EvSpooled *first)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "eventuate dead letter",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	EvSpooled	message;

	while (failure == NULL && ev_spool_get(held, &message))
	{
		CHECK_FOR_INTERRUPTS();
		message.error_name = first->error_name;
		message.error = first->error;
		bury(&message);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	ev_spool_destroy(held);
}

/* The topic of a test is not open; perhaps it never will be. */
static void
end_trial(const EvSpooled *refused, bool undecided)
{
	const char *topic = refused->message.topic;
	EvInstant	now = ev_instant_now();
	bool		may_pass = undecided || ev_refusal_may_pass(refused->error_name);
	EvSpool    *held;

	if (may_pass && (undecided || !ev_refusal_expired(topic, now)))
	{
		ev_refusal_try_later(topic, now);
		return;
	}
	held = ev_refusal_release(topic);
	ev_spool_drop(held);
	bury(refused);
	if (may_pass)
		bury_all(held, refused);
	else
		ev_lineup_release(held);
}

/*
 * Kafka refused a record, or the batch that it was in; or librdkafka did, at
 * once, which is no batch's fault.  But a topic that librdkafka does not know
 * may still have records under way that go before this one.
 */
static void
take_refusal(Record *record, const EvSpooled *refused, bool at_once,
			 bool undecided)
{
	if (record->trial == TRIAL_TOPIC)
		end_trial(refused, undecided);
	else if (!undecided &&
			 (record->trial == TRIAL_ALONE ||
			  (at_once && (!ev_refusal_may_pass(refused->error_name) ||
						   ev_refusal_expired(refused->message.topic,
											  ev_instant_now())))))
		judge(refused);
	else
	{
		record->suspect |= !undecided;
		ev_lineup_return(refused, record->number);
	}
	pfree(record);
}

/*
 * Hands a record to the producer; false: there is no room, and the record
 * stays the caller's.
 */
static bool
hand_over(Record *record, const EvMessage *message)
{
	EvSpooled	refused = with_record(record, message);
	EvSendResult result = ev_producer_send(message, (uint64) (uintptr_t) record,
										   &refused.error_name, &refused.error);

	if (result == EV_SEND_FULL)
		return false;
	sent++;
	record->attempts++;
	if (result == EV_SEND_REFUSED)
		take_refusal(record, &refused, true, false);
	else
	{
		in_producer++;
		record->handed_at = ev_instant_now();
		dlist_push_tail(&producer_records, &record->node);
		trying_alone |= record->trial == TRIAL_ALONE;
	}
	return true;
}

/* Sends a message, or holds it, as soon as nothing has to go before it. */
static void
send_in_turn(Record *record, const EvMessage *message)
{
	while (failure == NULL)
	{
		if (ev_refusal_holds(message->topic))
		{
			EvSpooled	held = with_record(record, message);

			ev_refusal_hold(&held, 0);
			pfree(record);
			return;
		}
		if (in_producer < limit && hand_over(record, message))
			return;
		wait_for_room();
	}
}

static void
take_message(const EvOrigin *origin, const EvMessage *message)
{
	EvMessage	stamped = *message;

	if (failure != NULL)
		return;
	if (stamped.timestamp == 0 &&
		ev_record_timestamp == EV_TIMESTAMP_COMMIT)
		stamped.timestamp = ev_epoch_ms(origin->commit_time);
	send_in_turn(make_record(origin, &stamped), &stamped);

	/* A refusal should be known before much is sent behind it. */
	if (ev_lineup_returning() || sent % SERVE_INTERVAL == 0)
		ev_delivery_serve();
}

static void
take_malformed(const EvOrigin *origin, const EvMessage *message,
			   const char *row, const char *reason)
{
	Record	   *record;
	EvSpooled	refused;

	if (failure != NULL)
		return;
	record = make_record(origin, message);
	refused = with_record(record, message);
	refused.error = psprintf("%s cannot be published: %s", row, reason);
	bury(&refused);
	pfree(record);
}

static void
take_commit(const EvOrigin *origin)
{
	if (ticket_open)
		ev_inflight_commit(window, ticket);
	ticket_open = false;
}

/* What the decoder and recovery feed. */
const EvSink ev_delivery_sink = {
	.message = take_message,
	.malformed = take_malformed,
	.commit = take_commit
};

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

static void
take_acknowledgement(Record *record, const EvDelivery *delivery)
{
	acknowledged++;
	acknowledged_bytes += delivery->key_length + delivery->value_length;
	if (limit != PG_UINT64_MAX)
		raise_limit();
	if (record->trial == TRIAL_TOPIC)
	{
		EvSpool    *held = ev_refusal_release(delivery->topic);

		ev_spool_drop(held);
		ev_lineup_release(held);
	}
	if (ev_refusal_any())
		ev_refusal_accepted(delivery->topic);
	ev_inflight_ack(window, record->ticket);
	pfree(record);
}

/* One delivery report. */
static void
take_report(const EvDelivery *delivery)
{
	Record	   *record = (Record *) (uintptr_t) delivery->ticket;
	EvMessage	message = {0};
	EvSpooled	refused;

	in_producer--;
	dlist_delete(&record->node);
	if (record->trial == TRIAL_ALONE)
		trying_alone = false;
	if (delivery->delivered)
	{
		take_acknowledgement(record, delivery);
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
	refused = with_record(record, &message);
	refused.error_name = delivery->error_name;
	refused.error = delivery->error;
	take_refusal(record, &refused, false, delivery->undecided);
}

/* Shows the counters; messages and bytes are added to what others reset. */
static void
show_counters(void)
{
	static uint64 shown = 0;
	static uint64 shown_bytes = 0;
	static uint64 shown_buried = 0;

	if (acknowledged != shown)
		acknowledged_at = ev_instant_now();
	SpinLockAcquire(&me->mutex);
	me->messages += acknowledged - shown;
	me->bytes += acknowledged_bytes - shown_bytes;
	me->dead_letters += buried - shown_buried;
	me->in_flight = ev_inflight_messages(window);
	me->unconfirmed = ev_inflight_unconfirmed(window);
	SpinLockRelease(&me->mutex);
	shown = acknowledged;
	shown_bytes = acknowledged_bytes;
	shown_buried = buried;
}

/* Sends the first message that has come back; false: not now. */
static bool
send_first(const EvSpooled *first)
{
	const Record *known = first->record;
	Record	   *record;

	if (trying_alone || in_producer >= (known->suspect ? 1 : limit))
		return false;
	record = copy_record(first);
	record->trial = known->suspect ? TRIAL_ALONE : TRIAL_NONE;
	if (!hand_over(record, &first->message))
	{
		pfree(record);
		return false;
	}
	ev_lineup_drop_first();
	return true;
}

/*
 * Sends what has come back, in the order in which it was decoded.  Before that
 * everything else comes back as well, or is acknowledged.
 */
static void
send_again(void)
{
	const EvSpooled *first;

	while (failure == NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (ev_lineup_returning() && in_producer > 0)
		{
			ev_producer_recall();
			wait_for_room();
		}
		else if (ev_lineup_returning())
		{
			ev_lineup_line_up();
			limit = 1;
		}
		else if ((first = ev_lineup_first()) == NULL)
			break;
		else if (ev_refusal_holds(first->message.topic))
		{
			((Record *) first->record)->suspect = false;
			ev_refusal_hold(first, 0);
			ev_lineup_drop_first();
		}
		else if (!send_first(first))
			wait_for_room();
	}
}

/* Tries topics whose time has come, by a copy of what is held first. */
static void
try_held_topics(void)
{
	EvInstant	now = ev_instant_now();
	EvSpooled	first;

	while (failure == NULL && ev_refusal_due(now, &first))
	{
		Record	   *record = copy_record(&first);

		record->trial = TRIAL_TOPIC;
		if (hand_over(record, &first.message))
			continue;
		ev_refusal_try_later(first.message.topic, now);
		pfree(record);
		return;
	}
}

/*
 * What has come back is sent again, here and now, and goes before a topic that
 * may be open again; not within itself.
 */
static void
try_again(void)
{
	static bool trying = false;
	MemoryContext context;
	MemoryContext old_context;

	if (trying || failure != NULL)
		return;
	trying = true;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"eventuate refused messages",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	send_again();
	if (ev_refusal_any())
	{
		try_held_topics();
		send_again();
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	trying = false;
}

/* Stores some letters in one transaction; false: there was none. */
static bool
store_some_letters(MemoryContext context)
{
	EvTicket	tickets[LETTER_BATCH];
	int			count = 0;
	EvSpooled	letter;

	if (ev_spool_count(letters) == 0)
		return false;
	ev_dead_letter_begin();
	while (count < LETTER_BATCH)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);
		bool		found = ev_spool_get(letters, &letter);

		if (found)
		{
			Record	   *record = letter.record;

			ev_dead_letter_store(&letter, &record->origin, record->position,
								 record->attempts);
			tickets[count++] = record->ticket;
		}
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
		if (!found)
			break;
	}
	ev_dead_letter_commit();
	for (int i = 0; i < count; i++)
		ev_inflight_ack(window, tickets[i]);
	buried += count;
	return true;
}

/*
 * Stores what Kafka will never take, and lets its transactions go on.  Not in
 * a transaction.
 */
void
ev_delivery_store_letters(void)
{
	MemoryContext old_context = CurrentMemoryContext;

	while (store_some_letters(letter_context))
		MemoryContextSwitchTo(old_context);
}

/*
 * Takes all delivery reports that are there.  Where records were refused this
 * takes as long as it takes to find the culprit.
 */
void
ev_delivery_serve(void)
{
	(void) ev_producer_poll(take_report);
	if (ev_lineup_returning() || ev_lineup_first() != NULL || ev_refusal_any())
		try_again();
	show_counters();
}

/* Is nothing waiting for Kafka? */
bool
ev_delivery_idle(void)
{
	return ev_inflight_empty(window);
}

/* Would the next transaction have to wait? */
bool
ev_delivery_full(void)
{
	return ev_inflight_full(window);
}

/* The one rule's answer; invalid until a first transaction is through. */
XLogRecPtr
ev_delivery_safe_lsn(void)
{
	return ev_inflight_safe_lsn(window);
}

/* The newest time of commit up to there; 0: none yet. */
TimestampTz
ev_delivery_safe_time(void)
{
	return ev_inflight_safe_time(window);
}

/* When the oldest record that waits for Kafka was sent; 0: none waits. */
EvInstant
ev_delivery_oldest(void)
{
	return dlist_is_empty(&producer_records) ? 0 :
		dlist_head_element(Record, node, &producer_records)->handed_at;
}

/* When Kafka last acknowledged anything; 0: not yet. */
EvInstant
ev_delivery_acknowledged_at(void)
{
	return acknowledged_at;
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

/* Why nothing more can be sent, or NULL. */
const char *
ev_delivery_failure(void)
{
	return failure;
}
