/*-------------------------------------------------------------------------
 *
 * lineup.c
 *	  Messages that go before all others: they have come back.
 *
 * When Kafka refuses a record, what the producer has not sent yet is called
 * back, so that nothing overtakes what was refused.  Records come back in any
 * order; once all are here they are lined up as they were decoded.  When one
 * of those is refused in its turn, the same happens again, and what comes back
 * then goes before the rest.  So there is a stack of lines; a topic that was
 * held and is held no more adds its spool.
 *
 * Memory: lines are in memory.  What is in them has been in the producer's
 * queue, whose bound is theirs as well; nothing new is sent before they are
 * empty.
 *
 * Of no interest after a restart: all of this is still in WAL.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "lineup.h"

/* A message of a line, with all that it points to in the line's context. */
typedef struct Item
{
	uint64		number;
	EvSpooled	message;
} Item;

/* Either an array or a spool. */
typedef struct Line
{
	struct Line *next;			/* the one behind it */
	MemoryContext context;		/* of all of it, but for the spool */
	Item	   *items;
	uint64		count;
	uint64		capacity;
	uint64		position;		/* of the first item */
	EvSpool    *spool;
	EvSpooled	peeked;			/* of the spool; topic NULL: nothing */
	MemoryContext peek_context;
} Line;

static Line *first_line = NULL;

/* What comes back, until it is lined up; NULL: nothing. */
static Line *returning = NULL;

static Line *
make_line(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "eventuate line of messages",
												  ALLOCSET_DEFAULT_SIZES);
	Line	   *line = MemoryContextAllocZero(context, sizeof(Line));

	line->context = context;
	return line;
}

static void
push(Line *line)
{
	line->next = first_line;
	first_line = line;
}

/* A copy in the current memory context; NULL stays NULL. */
static char *
copy_bytes(const char *bytes, size_t length)
{
	char	   *copy;

	if (bytes == NULL)
		return NULL;
	copy = MemoryContextAllocHuge(CurrentMemoryContext, length + 1);
	memcpy(copy, bytes, length);
	copy[length] = '\0';
	return copy;
}

static const char *
copy_string(const char *string)
{
	return copy_bytes(string, string ? strlen(string) : 0);
}

static const EvHeader *
copy_headers(const EvHeader *headers, int count)
{
	EvHeader   *copies = palloc(sizeof(EvHeader) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		copies[i].name = copy_string(headers[i].name);
		copies[i].value = copy_bytes(headers[i].value, headers[i].value_length);
		copies[i].value_length = headers[i].value_length;
	}
	return copies;
}

/* The names and words of errors are constant, all else is copied. */
static void
copy_message(EvSpooled *to, const EvSpooled *from)
{
	*to = *from;
	to->record = copy_bytes(from->record, from->record_length);
	to->message.id = copy_string(from->message.id);
	to->message.topic = copy_string(from->message.topic);
	to->message.key = copy_bytes(from->message.key, from->message.key_length);
	to->message.value = copy_bytes(from->message.value, from->message.value_length);
	to->message.headers = copy_headers(from->message.headers,
									   from->message.header_count);
}

/*
 * A copy of a message has come back.  "number" is its place among all that
 * were ever sent.  The words of its error are constant, as Kafka's are.
 */
void
ev_lineup_return(const EvSpooled *message, uint64 number)
{
	MemoryContext old_context;
	Item	   *item;

	if (returning == NULL)
		returning = make_line();
	old_context = MemoryContextSwitchTo(returning->context);
	if (returning->count == returning->capacity)
	{
		returning->capacity = Max(returning->capacity * 2, 64);
		returning->items = returning->items == NULL ?
			palloc(sizeof(Item) * returning->capacity) :
			repalloc_huge(returning->items, sizeof(Item) * returning->capacity);
	}
	item = &returning->items[returning->count++];
	item->number = number;
	copy_message(&item->message, message);
	MemoryContextSwitchTo(old_context);
}

/* Has anything come back that is not in line yet? */
bool
ev_lineup_returning(void)
{
	return returning != NULL;
}

static int
compare_items(const void *a, const void *b)
{
	uint64		x = ((const Item *) a)->number;
	uint64		y = ((const Item *) b)->number;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* All is back that will come: it goes before what is in line already. */
void
ev_lineup_line_up(void)
{
	Assert(returning != NULL);
	qsort(returning->items, returning->count, sizeof(Item), compare_items);
	push(returning);
	returning = NULL;
}

/* What is in the spool goes before what is in line.  Takes the spool over. */
void
ev_lineup_release(EvSpool *spool)
{
	Line	   *line = make_line();

	line->spool = spool;
	line->peek_context = AllocSetContextCreate(line->context,
											   "eventuate first message",
											   ALLOCSET_DEFAULT_SIZES);
	push(line);
}

static const EvSpooled *
first_of_line(Line *line)
{
	MemoryContext old_context;

	if (line->spool == NULL)
		return line->position < line->count ?
			&line->items[line->position].message : NULL;
	if (line->peeked.message.topic == NULL)
	{
		old_context = MemoryContextSwitchTo(line->peek_context);
		(void) ev_spool_peek(line->spool, &line->peeked);
		MemoryContextSwitchTo(old_context);
	}
	return line->peeked.message.topic != NULL ? &line->peeked : NULL;
}

/*
 * The message that goes next, or NULL.  It stays in line, and valid, until
 * ev_lineup_drop_first() or until others go before it.
 */
const EvSpooled *
ev_lineup_first(void)
{
	while (first_line != NULL)
	{
		Line	   *line = first_line;
		const EvSpooled *first = first_of_line(line);

		if (first != NULL)
			return first;
		first_line = line->next;
		if (line->spool != NULL)
			ev_spool_destroy(line->spool);
		MemoryContextDelete(line->context);
	}
	return NULL;
}

/* The first message has gone; only after ev_lineup_first(). */
void
ev_lineup_drop_first(void)
{
	Line	   *line = first_line;

	Assert(line != NULL);
	if (line->spool == NULL)
	{
		line->position++;
		return;
	}
	ev_spool_drop(line->spool);
	MemoryContextReset(line->peek_context);
	memset(&line->peeked, 0, sizeof(line->peeked));
}
