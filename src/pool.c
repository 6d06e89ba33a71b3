/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Pieces of memory of one size that are used again and again.
 *
 * For what is put back by thousands at a time, and asked for long after, when
 * no cache of the processor has it anymore: with each piece that is given out
 * the memory of the next is asked for.
 *
 * A pool gives nothing back: it is as large as what was in use at most.
 * Nothing survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "eventuate.h"
#include "pool.h"

/* How much of a piece is asked for, in bytes. */
#define ASKED_FOR 256

/* A piece, with whatever it holds; ev_pool_put() takes it back. */
void *
ev_pool_get(EvPool *pool)
{
	void	   *piece = pool->free;

	Assert(pool->size >= sizeof(void *));
	if (piece == NULL)
		return MemoryContextAlloc(pool->context, pool->size);
	pool->free = *(void **) piece;
	ev_prefetch_bytes((uintptr_t) pool->free, Min(pool->size, ASKED_FOR));
	return piece;
}

void
ev_pool_put(EvPool *pool, void *piece)
{
	*(void **) piece = pool->free;
	pool->free = piece;
}
