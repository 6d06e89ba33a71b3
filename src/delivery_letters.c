/*-------------------------------------------------------------------------
 *
 * delivery_letters.c
 *	  Messages that will never be sent.
 *
 * What Kafka will never take, and rows that cannot be messages, wait here until
 * they are stored as dead letters, many in one transaction.  Only then their
 * tickets are done, so that the slot is never confirmed past a message that is
 * neither in Kafka nor in the table.
 *
 * With eventuate.on_refusal = stop the first of them is the end of it all: its
 * ticket stays open, and nothing more is sent.
 *
 * A restart finds nothing: the messages are decoded, refused and buried again.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "dead_letter.h"
#include "delivery.h"
#include "delivery_letters.h"
#include "delivery_record.h"
#include "settings.h"

/* Dead letters that are stored in one transaction. */
#define LETTER_BATCH 500

/* What waits to be stored, in memory, in kB. */
#define LETTER_MEMORY 4096

static MemoryContext letter_context = NULL;

/* Will never be taken: to be stored as dead letters. */
static EvSpool *letters = NULL;
static uint64 buried = 0;

/* No letter that waits is before this; lsn invalid: none waits, or none has one. */
static EvPosition first = {InvalidXLogRecPtr, 0, InvalidXLogRecPtr};

/* Why nothing more can be sent; NULL: all is well. */
static char *failure = NULL;

/* Called once. */
void
ev_delivery_letters_init(void)
{
	letters = ev_spool_create(LETTER_MEMORY);
	letter_context = AllocSetContextCreate(TopMemoryContext,
										   "eventuate dead letter",
										   ALLOCSET_DEFAULT_SIZES);
}

static void
fail(const char *reason)
{
	if (failure == NULL)
		failure = MemoryContextStrdup(TopMemoryContext, reason);
}

/* A row that cannot be a message may be known before what goes before it is. */
static void
note_place(const EvRecord *record)
{
	EvPosition	place = ev_delivery_position_of(record);

	if (XLogRecPtrIsInvalid(first.lsn) || place.lsn < first.lsn ||
		(place.lsn == first.lsn && place.rows < first.rows))
		first = place;
}

/* Is a message never to be sent: a dead letter, or the end of it all? */
void
ev_delivery_bury(const EvSpooled *refused)
{
	const EvRecord *record = refused->record;

	if (ev_on_refusal == EV_REFUSAL_DEAD_LETTER)
	{
		EvSpooled	letter = ev_dead_letter_storable(refused);

		note_place(record);
		ev_spool_put(letters, &letter);
	}
	else if (refused->error_name == NULL)
		fail(refused->error);
	else
		fail(psprintf("Kafka refuses message \"%s\" of transaction %u for topic \"%s\": %s (%s)",
					  record->id, record->origin.xid, refused->message.topic,
					  refused->error, refused->error_name));
}

/* Are there any that are not stored? */
bool
ev_delivery_letters_wait(void)
{
	return ev_spool_count(letters) > 0;
}

/* The first of them, or one before it, if there are any. */
EvPosition
ev_delivery_first_letter(void)
{
	return first;
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
			EvRecord   *record = letter.record;

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
		ev_delivery_done(tickets[i]);
	buried += count;
	if (ev_spool_count(letters) == 0)
		first.lsn = InvalidXLogRecPtr;
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

/* Dead letters stored since the process began. */
uint64
ev_delivery_buried(void)
{
	return buried;
}

/* Why nothing more can be sent, or NULL. */
const char *
ev_delivery_failure(void)
{
	return failure;
}
