/*-------------------------------------------------------------------------
 *
 * refused.h
 *	  Records that came back refused, to be tried again one by one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_REFUSED_H
#define EV_REFUSED_H

#include "lib/ilist.h"
#include "utils/palloc.h"

#include "eventuate.h"

typedef struct EvRefused
{
	dlist_node	node;
	MemoryContext context;		/* holds all of it */
	void	   *record;			/* the caller's */
	EvMessage	message;
} EvRefused;

extern void ev_refused_add(void *record, const EvMessage *message);
extern EvRefused *ev_refused_first(void);
extern void ev_refused_remove(EvRefused *refused);
extern uint64 ev_refused_count(void);

#endif							/* EV_REFUSED_H */
