/*-------------------------------------------------------------------------
 *
 * copy_rows.h
 *	  Rows of outboxes that are sent again, through eventuate.record.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_COPY_ROWS_H
#define EV_COPY_ROWS_H

#include "backlog.h"

/* What becomes of the rows that are wanted; "filter" as in EvBacklog. */
typedef struct EvCopying
{
	bool		(*filter) (const EvOutbox *outbox, TupleTableSlot *slot);
	void		(*message) (const EvOrigin *origin, const EvMessage *message);
	void		(*malformed) (const EvOrigin *origin, const EvMessage *message,
							  const char *row, const char *reason);
} EvCopying;

extern void ev_copy_rows(List *relations, const EvCopying *copying);

#endif							/* EV_COPY_ROWS_H */
