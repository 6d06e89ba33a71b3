/*-------------------------------------------------------------------------
 *
 * refused.c
 *	  Records that came back refused, to be tried again one by one.
 *
 * A broker refuses a batch for one record in it, and all of them come back.
 * So what comes back is kept here, in the order in which it was sent, until
 * each has been tried alone.  There are never more than the producer's queue
 * could hold: they come out of it, and nothing is sent before they are gone.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "refused.h"

static dlist_head all = DLIST_STATIC_INIT(all);
static uint64 count = 0;

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

static const EvHeader *
copy_headers(const EvHeader *headers, int header_count)
{
	EvHeader   *copy = palloc(sizeof(EvHeader) * Max(header_count, 1));

	for (int i = 0; i < header_count; i++)
	{
		copy[i].name = pstrdup(headers[i].name);
		copy[i].value = copy_bytes(headers[i].value, headers[i].value_length);
		copy[i].value_length = headers[i].value_length;
	}
	return copy;
}

/* Keeps a copy of the message, behind all others. */
void
ev_refused_add(void *record, const EvMessage *message)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "eventuate refused record",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	EvRefused  *refused = palloc(sizeof(EvRefused));

	refused->context = context;
	refused->record = record;
	refused->message = *message;
	refused->message.topic = pstrdup(message->topic);
	refused->message.key = copy_bytes(message->key, message->key_length);
	refused->message.value = copy_bytes(message->value, message->value_length);
	refused->message.headers = copy_headers(message->headers,
											message->header_count);
	dlist_push_tail(&all, &refused->node);
	count++;
	MemoryContextSwitchTo(old_context);
}

/* The first that is still to be tried; NULL: none. */
EvRefused *
ev_refused_first(void)
{
	return dlist_is_empty(&all) ? NULL :
		dlist_head_element(EvRefused, node, &all);
}

/* Forgets one, with its message; the record is the caller's to free. */
void
ev_refused_remove(EvRefused *refused)
{
	dlist_delete(&refused->node);
	count--;
	MemoryContextDelete(refused->context);
}

uint64
ev_refused_count(void)
{
	return count;
}
