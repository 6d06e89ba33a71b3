/*-------------------------------------------------------------------------
 *
 * poll.h
 *	  Rows of an outbox that are found by asking for them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_POLL_H
#define EV_POLL_H

#include "access/xlogdefs.h"
#include "utils/memutils.h"

/* Rows that are copied, and not yet marked in their table. */
typedef struct EvBatch
{
	MemoryContext context;		/* of what is below */
	int			limit;			/* rows in the next one, at most */
	int			count;			/* 0: there is no such batch */
	int			malformed;		/* of them */
	bool		full;			/* there may be more rows */
	XLogRecPtr	end_lsn;		/* where their copies are committed */
	Datum		keys;			/* an array of what tells them */
	Oid			keys_type;
} EvBatch;

extern void ev_poll_init(EvBatch *batch);
extern bool ev_poll_is_wanted(Oid relid, int64 *interval, int64 *retention);
extern void ev_poll_copy(Oid relid, EvBatch *batch);
extern void ev_poll_mark(Oid relid, EvBatch *batch);
extern bool ev_poll_clean(Oid relid, EvBatch *batch);

#endif							/* EV_POLL_H */
