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
 * sent again one by one before any is held to be refused.
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

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "dead_letter.h"
#include "delivery.h"
#include "inflight.h"
#include "producer.h"
#include "refusal.h"
#include "settings.h"
#include "spool.h"

/* What is known of a record until it is acknowledged; the producer's opaque. */
typedef struct Record
{
	EvTicket	ticket;
	EvOrigin	origin;
	int64		position;		/* of the message in its transaction */
	int32		partition;		/* these two as they were asked for */
	int64		timestamp;
	int			attempts;
	char		id[FLEXIBLE_ARRAY_MEMBER];
} Record;

static EvDatabase *me = NULL;
static void (*wait_for_room) (void) = NULL;
static EvInflight *window = NULL;
static MemoryContext record_context = NULL;

/* The transaction that the sink is being fed. */
static bool ticket_open = false;
static EvTicket ticket;
static int64 position;

static uint64 sent = 0;
static uint64 acknowledged = 0;
static uint64 acknowledged_bytes = 0;
static uint64 buried = 0;

/* Came back refused, perhaps for another's sake: to be tried alone. */
static EvSpool *suspects = NULL;

/* Will never be taken: to be stored as dead letters. */
static EvSpool *letters = NULL;

/* Why nothing more can be sent; NULL: all is well. */
static char *failure = NULL;

/* The suspect that is being tried; NULL: none, or it is judged. */
static Record *alone = NULL;

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
	suspects = ev_spool_create();
	letters = ev_spool_create();
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
	size_t		length = message->id ? strlen(message->id) : 0;
	Record	   *record;

	if (!ticket_open)
		begin_transaction(origin);
	record = MemoryContextAlloc(record_context,
								offsetof(Record, id) + length + 1);
	record->ticket = ticket;
	record->origin = *origin;
	record->position = position++;
	record->partition = message->partition;
	record->timestamp = message->timestamp;
	record->attempts = 0;
	memcpy(record->id, message->id ? message->id : "", length + 1);
	ev_inflight_add(window, ticket);
	return record;
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

/* Kafka's last word on a message, unless its topic is given some time. */
static void
judge(const EvSpooled *refused)
{
	if (!ev_refusal_hold(refused, ev_instant_now()))
		bury(refused);
}

/* Hands a record to the producer, waiting for room in its queue. */
static void
send_record(Record *record, const EvMessage *message)
{
	EvSpooled	refused = {record, *message, NULL, NULL};
	EvSendResult result;

	while ((result = ev_producer_send(message, (uint64) (uintptr_t) record,
									  &refused.error_name,
									  &refused.error)) == EV_SEND_FULL)
		wait_for_room();
	sent++;
	record->attempts++;
	if (result == EV_SEND_QUEUED)
		return;
	if (record == alone)
		alone = NULL;
	judge(&refused);
}

static void
take_message(const EvOrigin *origin, const EvMessage *message)
{
	EvSpooled	held = {NULL, *message, NULL, NULL};

	if (failure != NULL)
		return;
	if (held.message.timestamp == 0 &&
		ev_record_timestamp == EV_TIMESTAMP_COMMIT)
		held.message.timestamp = ev_epoch_ms(origin->commit_time);
	held.record = make_record(origin, &held.message);
	if (ev_refusal_holds(message->topic))
		ev_refusal_hold(&held, 0);
	else
		send_record(held.record, &held.message);
}

static void
take_malformed(const EvOrigin *origin, const EvMessage *message,
			   const char *row, const char *reason)
{
	EvSpooled	refused = {NULL, *message, NULL, NULL};

	if (failure != NULL)
		return;
	refused.record = make_record(origin, message);
	refused.error = psprintf("%s cannot be published: %s", row, reason);
	bury(&refused);
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

/* Kafka refused a record, or the batch that it was in. */
static void
take_refusal(Record *record, const EvDelivery *delivery)
{
	EvSpooled	refused = {record, {0}, delivery->error_name, delivery->error};

	refused.message.id = record->id;
	refused.message.topic = delivery->topic;
	refused.message.key = delivery->key;
	refused.message.key_length = delivery->key_length;
	refused.message.value = delivery->value;
	refused.message.value_length = delivery->value_length;
	refused.message.headers = delivery->headers;
	refused.message.header_count = delivery->header_count;
	refused.message.partition = record->partition;
	refused.message.timestamp = record->timestamp;
	if (record == alone)
		judge(&refused);
	else
		ev_spool_put(suspects, &refused);
}

/* One delivery report. */
static void
take_report(const EvDelivery *delivery)
{
	Record	   *record = (Record *) (uintptr_t) delivery->ticket;

	if (delivery->delivered)
	{
		ev_inflight_ack(window, record->ticket);
		acknowledged++;
		acknowledged_bytes += delivery->key_length + delivery->value_length;
		if (ev_refusal_any())
			ev_refusal_accepted(delivery->topic);
	}
	else
		take_refusal(record, delivery);
	if (record == alone)
		alone = NULL;
	if (delivery->delivered)
		pfree(record);
}

/* Shows the counters; messages and bytes are added to what others reset. */
static void
show_counters(void)
{
	static uint64 shown = 0;
	static uint64 shown_bytes = 0;
	static uint64 shown_buried = 0;

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

/* Sends a record with nothing beside it, and waits for the verdict. */
static void
try_alone(const EvSpooled *suspect)
{
	alone = suspect->record;
	send_record(alone, &suspect->message);
	while (alone != NULL && failure == NULL)
		wait_for_room();
	alone = NULL;
}

/* Is anything on its way to Kafka, and not just waiting here? */
static bool
something_in_flight(void)
{
	return ev_inflight_messages(window) >
		ev_spool_count(suspects) + ev_spool_count(letters) + ev_refusal_count();
}

/*
 * Tries suspects one by one, in the order in which they were sent.  Whatever
 * else is on its way arrives first.  A topic that is held holds them too.
 */
static void
try_suspects(void)
{
	EvSpooled	suspect;

	while (failure == NULL && ev_spool_count(suspects) > 0)
	{
		if (something_in_flight())
			wait_for_room();
		else if (ev_spool_get(suspects, &suspect))
		{
			if (ev_refusal_holds(suspect.message.topic))
				ev_refusal_hold(&suspect, 0);
			else
				try_alone(&suspect);
		}
	}
}

/* Tries topics again whose time has come; their messages are suspects then. */
static void
try_held_topics(void)
{
	EvSpool    *held;
	EvSpooled	message;

	while ((held = ev_refusal_due(ev_instant_now())) != NULL)
	{
		while (ev_spool_get(held, &message))
			ev_spool_put(suspects, &message);
		ev_spool_destroy(held);
	}
}

/* What has come back is tried again, here and now; not within itself. */
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
	if (ev_refusal_any())
		try_held_topics();
	try_suspects();
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	trying = false;
}

/*
 * Stores what Kafka will never take, and lets its transactions go on.  Not in
 * a transaction.
 */
void
ev_delivery_store_letters(void)
{
	EvSpooled	letter;

	while (ev_spool_get(letters, &letter))
	{
		Record	   *record = letter.record;

		ev_dead_letter_store(&letter, &record->origin, record->position,
							 record->attempts);
		ev_inflight_ack(window, record->ticket);
		pfree(record);
		buried++;
	}
}

/*
 * Takes all delivery reports that are there.  Where records were refused this
 * takes as long as it takes to find the culprit.
 */
void
ev_delivery_serve(void)
{
	(void) ev_producer_poll(take_report);
	if (ev_spool_count(suspects) > 0 || ev_refusal_any())
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
