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
 * cannot be a message, nothing is skipped: its ticket stays open for ever, so
 * that the slot cannot pass it, and what follows is not sent.
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

#include "delivery.h"
#include "inflight.h"
#include "producer.h"
#include "refused.h"
#include "settings.h"

/* What is known of a record while Kafka has it; the producer's opaque. */
typedef struct Record
{
	EvTicket	ticket;
	TransactionId xid;
	int32		partition;		/* these two as they were asked for */
	int64		timestamp;
	char		id[FLEXIBLE_ARRAY_MEMBER];
} Record;

static EvDatabase *me = NULL;
static void (*wait_for_room) (void) = NULL;
static EvInflight *window = NULL;
static MemoryContext record_context = NULL;

/* The transaction that the sink is being fed. */
static bool ticket_open = false;
static EvTicket ticket;

static uint64 sent = 0;
static uint64 acknowledged = 0;
static uint64 acknowledged_bytes = 0;

/* Why nothing more can be sent; NULL: all is well. */
static char *failure = NULL;

/* A refused record that is being tried alone; NULL: none, or it is judged. */
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
	while (ev_inflight_full(window))
		wait_for_room();
	ticket = ev_inflight_begin(window, origin->end_lsn, origin->commit_time);
	ticket_open = true;
}

static Record *
make_record(const EvOrigin *origin, const EvMessage *message)
{
	size_t		length = message->id ? strlen(message->id) : 0;
	Record	   *record = MemoryContextAlloc(record_context,
											offsetof(Record, id) + length + 1);

	record->ticket = ticket;
	record->xid = origin->xid;
	record->partition = message->partition;
	record->timestamp = message->timestamp;
	memcpy(record->id, message->id ? message->id : "", length + 1);
	return record;
}

static void
refuse(const Record *record, const char *topic, const char *error_name,
	   const char *error)
{
	fail(psprintf("Kafka refuses message \"%s\" of transaction %u for topic \"%s\": %s (%s)",
				  record->id, record->xid, topic, error, error_name));
}

/* Hands a record to the producer, waiting for room in its queue. */
static void
send_record(Record *record, const EvMessage *message)
{
	const char *error_name = NULL;
	const char *error = NULL;
	EvSendResult result;

	while ((result = ev_producer_send(message, (uint64) (uintptr_t) record,
									  &error_name, &error)) == EV_SEND_FULL)
		wait_for_room();
	sent++;
	if (result == EV_SEND_QUEUED)
		return;
	refuse(record, message->topic, error_name, error);
	pfree(record);
}

static void
take_message(const EvOrigin *origin, const EvMessage *message)
{
	EvMessage	timed = *message;

	if (failure != NULL)
		return;
	if (!ticket_open)
		begin_transaction(origin);
	if (timed.timestamp == 0 && ev_record_timestamp == EV_TIMESTAMP_COMMIT)
		timed.timestamp = ev_epoch_ms(origin->commit_time);

	/* Counted before it is sent: a refused one is never acknowledged. */
	ev_inflight_add(window, ticket);
	send_record(make_record(origin, &timed), &timed);
}

static void
take_malformed(const EvOrigin *origin, const char *row, const char *reason)
{
	if (failure != NULL)
		return;
	if (!ticket_open)
		begin_transaction(origin);
	ev_inflight_add(window, ticket);
	fail(psprintf("%s cannot be published: %s", row, reason));
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

/* Kafka refused a record, or the batch that it was in: to be tried alone. */
static void
keep_refused(Record *record, const EvDelivery *delivery)
{
	EvMessage	message = {0};

	message.topic = delivery->topic;
	message.key = delivery->key;
	message.key_length = delivery->key_length;
	message.value = delivery->value;
	message.value_length = delivery->value_length;
	message.headers = delivery->headers;
	message.header_count = delivery->header_count;
	message.partition = record->partition;
	message.timestamp = record->timestamp;
	ev_refused_add(record, &message);
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
	}
	else if (record == alone)
		refuse(record, delivery->topic, delivery->error_name, delivery->error);
	else
	{
		keep_refused(record, delivery);
		return;
	}
	if (record == alone)
		alone = NULL;
	pfree(record);
}

/* Shows the counters; messages and bytes are added to what others reset. */
static void
show_counters(void)
{
	static uint64 shown = 0;
	static uint64 shown_bytes = 0;

	SpinLockAcquire(&me->mutex);
	me->messages += acknowledged - shown;
	me->bytes += acknowledged_bytes - shown_bytes;
	me->in_flight = ev_inflight_messages(window);
	me->unconfirmed = ev_inflight_unconfirmed(window);
	SpinLockRelease(&me->mutex);
	shown = acknowledged;
	shown_bytes = acknowledged_bytes;
}

/* Sends a refused record with nothing beside it, and waits for the verdict. */
static void
try_alone(EvRefused *refused)
{
	Record	   *record = refused->record;

	alone = record;
	send_record(record, &refused->message);
	while (alone == record && failure == NULL)
		wait_for_room();
	alone = NULL;
}

/*
 * Tries refused records again, one by one, in the order in which they were
 * sent.  Whatever else is on its way arrives first.
 */
static void
try_refused(void)
{
	static bool trying = false;
	EvRefused  *refused;

	if (trying)
		return;
	trying = true;
	while (failure == NULL && (refused = ev_refused_first()) != NULL)
	{
		if (ev_inflight_messages(window) > ev_refused_count())
			wait_for_room();
		else
		{
			try_alone(refused);
			ev_refused_remove(refused);
		}
	}
	trying = false;
}

/*
 * Takes all delivery reports that are there; true if there was one.  Where
 * records were refused this takes as long as it takes to find the culprit.
 */
bool
ev_delivery_serve(void)
{
	bool		any = ev_producer_poll(take_report) > 0;

	try_refused();
	show_counters();
	return any;
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
