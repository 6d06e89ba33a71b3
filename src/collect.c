/*-------------------------------------------------------------------------
 *
 * collect.c
 *	  The first rows of a query, as many as there is memory for.
 *
 * SPI keeps all rows of a query, however large they are.  Here they are kept
 * up to a limit in bytes; the query ends, as if there were no more, with the
 * row that reaches it.
 *
 * A collection lives in the memory context that was current when it was made;
 * nothing is kept besides.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "collect.h"

/* Rows that there is room for at first. */
#define FIRST_CAPACITY 64

/* The query begins: that is what its rows are made of. */
static void
begin_rows(DestReceiver *receiver, int operation, TupleDesc desc)
{
	EvCollection *collection = (EvCollection *) receiver;
	MemoryContext old_context = MemoryContextSwitchTo(collection->context);

	collection->desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(old_context);
}

/* Keeps a row; false: no more. */
static bool
take_row(TupleTableSlot *slot, DestReceiver *receiver)
{
	EvCollection *collection = (EvCollection *) receiver;
	MemoryContext old_context = MemoryContextSwitchTo(collection->context);
	HeapTuple	row = ExecCopySlotHeapTuple(slot);

	if (collection->count == collection->capacity)
	{
		collection->capacity *= 2;
		collection->rows = repalloc(collection->rows,
									sizeof(HeapTuple) * collection->capacity);
	}
	collection->rows[collection->count++] = row;
	collection->size += row->t_len;
	MemoryContextSwitchTo(old_context);
	return collection->size < collection->memory;
}

static void
ignore(DestReceiver *receiver)
{
}

/*
 * An empty collection in the current memory context, for so many bytes; one
 * row fits always.
 */
void
ev_collect_init(EvCollection *collection, size_t memory)
{
	memset(collection, 0, sizeof(EvCollection));
	collection->receiver.receiveSlot = take_row;
	collection->receiver.rStartup = begin_rows;
	collection->receiver.rShutdown = ignore;
	collection->receiver.rDestroy = ignore;

	/* None of the kinds that are treated specially. */
	collection->receiver.mydest = DestTuplestore;
	collection->context = CurrentMemoryContext;
	collection->memory = memory;
	collection->capacity = FIRST_CAPACITY;
	collection->rows = palloc(sizeof(HeapTuple) * collection->capacity);
}
