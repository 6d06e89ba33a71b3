/*-------------------------------------------------------------------------
 *
 * delivery_batch.c
 *	  Records that count only together.
 *
 * With eventuate.exactly_once records go in batches, transactions of Kafka's
 * (batch.c).  What is sent stays here, with its message, until the batch is
 * committed; only then it is acknowledged.  A refusal breaks the
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

#include "utils/memutils.h"

#include "batch.h"
#include "delivery.h"
#include "delivery_batch.h"
#include "delivery_letters.h"
#include "delivery_send.h"
#include "lineup.h"
#include "producer.h"
#include "refusal.h"

/*
 * Memory for records, in bytes, which stays when a batch is over; what a batch
 * takes beyond it is given back.
 */
#define USUAL_SIZE (48 * 1024 * 1024)
#define MORE (1024 * 1024)

/* The batch has room for so many records at first. */
#define INITIAL_CAPACITY 1024

/*
 * A record of the batch.  It is not touched when it is acknowledged: by then
 * thousands of others have come, and no cache of the processor has it anymore.
 */
typedef struct Member
{
	EvTicket	ticket;
	EvRecord   *record;			/* NULL: Kafka has not stored it */
} Member;

static Member *members = NULL;
static uint32 count = 0;
static uint32 capacity = 0;
static size_t bytes = 0;		/* keys and values */
static MemoryContext context = NULL;	/* of the records */

/* Behind the newest that was sent. */
static EvPosition behind_newest;

/* Is nothing more to be sent for now? */
static bool flushing = false;

/* The record as the batch has it, with its message; it is not sent yet. */
EvRecord *
ev_delivery_batch_keep(const EvRecord *record, const EvMessage *message)
{
	if (context == NULL)
		context = GenerationContextCreate(TopMemoryContext, "eventuate batch",
										  USUAL_SIZE, MORE, USUAL_SIZE);
	return ev_delivery_keep(context, record, message);
}

static void
make_room(void)
{
	if (count < capacity)
		return;
	capacity = Max(2 * capacity, INITIAL_CAPACITY);
	members = members == NULL ?
		MemoryContextAlloc(TopMemoryContext, sizeof(Member) * capacity) :
		repalloc(members, sizeof(Member) * capacity);
}

/* The producer has a record of the batch. */
void
ev_delivery_batch_sent(EvRecord *record)
{
	make_room();
	record->place = count;
	members[count].ticket = record->ticket;
	members[count].record = record;
	count++;
	bytes += record->kept->key_length + record->kept->value_length;
	behind_newest = ev_delivery_position_of(record);
	behind_newest.rows++;
	ev_batch_add(ev_delivery_size(record->kept));
}

/* Kafka has not stored it: from now on it is none of the batch. */
void
ev_delivery_batch_failed(const EvRecord *record)
{
	Assert(members[record->place].record == record);
	members[record->place].record = NULL;
	ev_batch_break();
}

/* The producer has nothing of the batch anymore. */
static void
forget(void)
{
	count = 0;
	bytes = 0;
	flushing = false;
	if (context != NULL)
		MemoryContextReset(context);
}

/* The batch is committed, all of it. */
static void
acknowledge(void)
{
	bool		refusals = ev_refusal_any();

	for (uint32 i = 0; i < count; i++)
	{
		Assert(members[i].record != NULL);
		if (refusals)
			ev_delivery_accepted(members[i].record, members[i].record->kept->topic);
		ev_delivery_done(members[i].ticket);
	}
	ev_delivery_acknowledged_more(count, bytes);
	forget();
}

/* The batch is aborted: what Kafka has stored of it comes back as well. */
static void
return_all(void)
{
	for (uint32 i = 0; i < count; i++)
	{
		EvRecord   *record = members[i].record;
		EvSpooled	message;

		if (record == NULL)
			continue;
		message = ev_delivery_with_record(record, record->kept);
		ev_lineup_return(&message, record->number);
	}
	forget();
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
			ev_delivery_nothing_tried();
			acknowledge();
			break;
		case EV_BATCH_ABORTED:
			ev_delivery_nothing_tried();
			return_all();
			break;
		case EV_BATCH_NO_NEWS:
			break;
	}
	if (flushing || ev_batch_ripe(ev_instant_now(), ev_delivery_trying() ? 1 : ev_delivery_limit()))
		ev_batch_close();
	if (ev_batch_is_closed() && !ev_producer_holds() &&
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
