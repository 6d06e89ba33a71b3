/*-------------------------------------------------------------------------
 *
 * collect.h
 *	  The first rows of a query, as many as there is memory for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_COLLECT_H
#define EV_COLLECT_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "tcop/dest.h"

typedef struct EvCollection
{
	DestReceiver receiver;		/* for whoever runs the query */
	MemoryContext context;		/* of the rows, and of what is below */
	size_t		memory;			/* in bytes: no row more once they take this */
	size_t		size;			/* what they take */
	TupleDesc	desc;
	HeapTuple  *rows;
	int			count;
	int			capacity;
} EvCollection;

extern void ev_collect_init(EvCollection *collection, size_t memory);

#endif							/* EV_COLLECT_H */
