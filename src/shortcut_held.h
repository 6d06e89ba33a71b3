/*-------------------------------------------------------------------------
 *
 * shortcut_held.h
 *	  The rows of transactions that have not committed yet.
 *
 * For the files shortcut*.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SHORTCUT_HELD_H
#define EV_SHORTCUT_HELD_H

#include "access/htup.h"
#include "replication/logical.h"

#include "compat.h"

/* A row, or a logical message of ours, as WAL has it. */
typedef struct EvHeldRow
{
	struct EvHeldRow *next;
	XLogRecPtr	lsn;			/* what the reorder buffer would say */
	EvFileLocator locator;		/* of a row */
	bool		is_message;
	HeapTupleData tuple;		/* of a message only data and length */
} EvHeldRow;

extern bool ev_held_may_add(TransactionId xid, Size size);
extern EvHeldRow *ev_held_add(TransactionId xid, XLogRecPtr lsn, Size size);
extern const EvHeldRow *ev_held_rows(TransactionId xid);
extern void ev_held_give(LogicalDecodingContext *ctx, TransactionId xid);
extern void ev_held_give_all(LogicalDecodingContext *ctx, TransactionId xid);
extern void ev_held_forget(TransactionId xid);
extern void ev_held_forget_before(TransactionId xid);

#endif							/* EV_SHORTCUT_HELD_H */
