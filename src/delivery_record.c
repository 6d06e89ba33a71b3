/*-------------------------------------------------------------------------
 *
 * delivery_record.c
 *	  What is known of a message until Kafka has it, and the window.
 *
 * Owns the window of open tickets, which answers the one question that counts:
 * which position is safe to confirm?  Each transaction has a ticket, each of its
 * messages a record that carries the ticket on its way through the producer, or
 * through the spools of what waits.
 *
 * Promises: a transaction is behind the safe position only when each of its
 * messages was reported done, by Kafka's acknowledgement or as a dead letter.
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
#include "delivery_record.h"
#include "inflight.h"
#include "pool.h"

/* Records with an id no longer than this are all of one size. */
#define USUAL_ID 47

/* How much memory is asked for, in bytes, where the next copies will be. */
#define ASKED_FOR 1024

static EvInflight *window = NULL;
static MemoryContext record_context = NULL;
static EvPool records = {.size = offsetof(EvRecord, id) + USUAL_ID + 1};

/* The transaction that the sink is being fed. */
static bool ticket_open = false;
static EvTicket ticket;
static int64 position;

/*
 * The end of the last transaction that came whole, and what Kafka has of the
 * next, to be left out; only where Kafka keeps a position.
 */
static XLogRecPtr whole = InvalidXLogRecPtr;
static EvPosition known = {InvalidXLogRecPtr, 0, InvalidXLogRecPtr};

/* Called once. */
void
ev_delivery_record_init(void)
{
	window = ev_inflight_create();
	record_context = AllocSetContextCreate(TopMemoryContext,
										   "eventuate records in flight",
										   ALLOCSET_DEFAULT_SIZES);
	records.context = record_context;
}

/*
 * The next message is one of this transaction; true: the first one, and there
 * should be room in the window before it is made a record.
 */
bool
ev_delivery_begin(const EvOrigin *origin)
{
	if (ticket_open)
		return false;
	/* In this order: with nothing open all that was read would be safe. */
	ticket = ev_inflight_begin(window, origin->end_lsn, origin->commit_time);
	ticket_open = true;
	position = 0;
	return true;
}

/* The transaction has no more messages; perhaps it had none. */
void
ev_delivery_commit(const EvOrigin *origin)
{
	if (ticket_open)
	{
		ev_inflight_commit(window, ticket);
		whole = origin->end_lsn;
	}
	ticket_open = false;
}

/* Is the next message of the transaction that has begun one that Kafka has? */
bool
ev_delivery_skip(const EvOrigin *origin)
{
	Assert(ticket_open);
	if (known.rows == 0 || origin->end_lsn != known.part_of)
		return false;
	position++;
	known.rows--;
	return true;
}

/* A record with room for so long an id, all else not set. */
static EvRecord *
new_record(size_t id_length)
{
	bool		pooled = id_length <= USUAL_ID;
	EvRecord   *record = pooled ? ev_pool_get(&records) :
	MemoryContextAlloc(record_context, offsetof(EvRecord, id) + id_length + 1);

	record->pooled = pooled;
	return record;
}

/*
 * Counts a message of the transaction that has begun in: from now on that
 * waits for it.  The record is the caller's, to ev_delivery_free_record().
 */
EvRecord *
ev_delivery_make_record(const EvOrigin *origin, const EvMessage *message)
{
	static uint64 count = 0;
	size_t		length = message->id ? strlen(message->id) : 0;
	EvRecord   *record;

	Assert(ticket_open);
	record = new_record(length);
	record->ticket = ticket;
	record->kept = NULL;
	record->trial = EV_TRIAL_NONE;
	record->suspect = false;
	record->handed_at = 0;
	record->origin = *origin;
	record->number = count++;
	record->position = position++;
	record->behind = whole;
	record->partition = message->partition;
	record->timestamp = message->timestamp;
	record->attempts = 0;
	memcpy(record->id, message->id ? message->id : "", length + 1);
	ev_inflight_add(window, ticket);
	return record;
}

/* A record of what was put away. */
EvRecord *
ev_delivery_copy_record(const EvSpooled *message)
{
	EvRecord   *record = new_record(message->record_length - offsetof(EvRecord, id) - 1);
	bool		pooled = record->pooled;

	memcpy(record, message->record, message->record_length);
	record->pooled = pooled;
	record->kept = NULL;
	return record;
}

/* What a record takes without its message; that is behind it. */
static size_t
record_size(const EvRecord *record)
{
	return offsetof(EvRecord, id) + strlen(record->id) + 1;
}

/* What a message takes in one piece, in bytes. */
size_t
ev_delivery_size(const EvMessage *message)
{
	size_t		size = sizeof(EvMessage) + sizeof(EvHeader) * message->header_count +
	strlen(message->topic) + 1 + message->key_length + message->value_length;

	for (int i = 0; i < message->header_count; i++)
		size += strlen(message->headers[i].name) + 1 + message->headers[i].value_length;
	return size;
}

/* Appends bytes at *end; NULL stays NULL. */
static const char *
keep_bytes(char **end, const char *bytes, size_t length)
{
	char	   *copy = *end;

	if (bytes == NULL)
		return NULL;
	memcpy(copy, bytes, length);
	*end += length;
	return copy;
}

/* The message is copied to "kept", and behind it. */
static void
copy_message(EvMessage *kept, const EvMessage *message)
{
	EvHeader   *headers = (EvHeader *) (kept + 1);
	char	   *end = (char *) (headers + message->header_count);

	*kept = *message;
	kept->topic = keep_bytes(&end, message->topic, strlen(message->topic) + 1);
	kept->key = keep_bytes(&end, message->key, message->key_length);
	kept->value = keep_bytes(&end, message->value, message->value_length);
	kept->headers = headers;
	for (int i = 0; i < message->header_count; i++)
	{
		const EvHeader *header = &message->headers[i];

		headers[i].name = keep_bytes(&end, header->name, strlen(header->name) + 1);
		headers[i].value = keep_bytes(&end, header->value, header->value_length);
		headers[i].value_length = header->value_length;
	}
}

/*
 * A copy of a record that has its message, both in one piece of the context.
 * ev_delivery_free_record() frees it, or whoever resets the context.
 */
EvRecord *
ev_delivery_keep(MemoryContext context, const EvRecord *record,
				 const EvMessage *message)
{
	size_t		size = MAXALIGN(record_size(record));
	size_t		all = size + ev_delivery_size(message);
	EvRecord   *copy = MemoryContextAllocHuge(context, all);

	/*
	 * They are likely to be behind this one, where nothing was touched for
	 * long.
	 */
	ev_prefetch_bytes((uintptr_t) copy + 2 * all, ASKED_FOR);
	memcpy(copy, record, record_size(record));
	copy->pooled = false;
	copy->kept = (EvMessage *) ((char *) copy + size);
	copy_message(copy->kept, message);
	copy->kept->id = copy->id;
	return copy;
}

/* A record, and its message if it has it. */
void
ev_delivery_free_record(EvRecord *record)
{
	if (record->pooled)
		ev_pool_put(&records, record);
	else
		pfree(record);
}

/* Where a record is: all before it is there, itself is not. */
EvPosition
ev_delivery_position_of(const EvRecord *record)
{
	EvPosition	place = {record->behind, record->position, record->origin.end_lsn};

	return place;
}

/* Behind the last transaction that came whole. */
EvPosition
ev_delivery_whole(void)
{
	EvPosition	place = {whole, 0, InvalidXLogRecPtr};

	return place;
}

/* Are we between transactions, not in the middle of one? */
bool
ev_delivery_between(void)
{
	return !ticket_open;
}

/* Has Kafka a part of a transaction that is still to come? */
bool
ev_delivery_has_part(void)
{
	return known.rows > 0;
}

/* Between transactions: all up to there was read, and had nothing for us. */
void
ev_delivery_pass(XLogRecPtr lsn)
{
	Assert(!ticket_open && ev_inflight_empty(window));
	whole = lsn;
}

/* Decoding begins here: rows that Kafka has already are to be left out. */
void
ev_delivery_start_at(const EvPosition *from)
{
	known = *from;
	whole = from->lsn;
}

/* A message to be put away together with its record, which stays. */
EvSpooled
ev_delivery_with_record(EvRecord *record, const EvMessage *message)
{
	EvSpooled	spooled = {record, record_size(record), *message, NULL, NULL};

	return spooled;
}

/* A message of that ticket is acknowledged, or stored as a dead letter. */
void
ev_delivery_done(EvTicket done)
{
	ev_inflight_ack(window, done);
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

/* Messages that Kafka has not acknowledged. */
uint64
ev_delivery_in_flight(void)
{
	return ev_inflight_messages(window);
}

/* Messages that would come again after a crash. */
uint64
ev_delivery_unconfirmed(void)
{
	return ev_inflight_unconfirmed(window);
}
