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
#include "settings.h"

/* What is known of a record while Kafka has it; the producer's opaque. */
typedef struct Record
{
	EvTicket	ticket;
	TransactionId xid;
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
	send_record(make_record(origin, message), &timed);
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
	else
		refuse(record, delivery->topic, delivery->error_name, delivery->error);
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

/* Takes all delivery reports that are there; true if there was one. */
bool
ev_delivery_serve(void)
{
	bool		any = ev_producer_poll(take_report) > 0;

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
