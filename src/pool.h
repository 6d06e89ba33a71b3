/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Pieces of memory of one size that are used again and again.
 *
 * The contracts stand above the functions in pool.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_POOL_H
#define EV_POOL_H

#include "utils/palloc.h"

typedef struct EvPool
{
	MemoryContext context;
	Size		size;			/* of each piece, in bytes */
	void	   *free;			/* the first; each begins with the next */
} EvPool;

extern void *ev_pool_get(EvPool *pool);
extern void ev_pool_put(EvPool *pool, void *piece);

#endif							/* EV_POOL_H */
