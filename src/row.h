/*-------------------------------------------------------------------------
 *
 * row.h
 *	  How a row of an outbox becomes a message.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_ROW_H
#define EV_ROW_H

#include "access/htup.h"
#include "access/transam.h"

#include "outbox.h"

typedef enum EvRowKind
{
	EV_ROW_MESSAGE,
	EV_ROW_PUBLISHED,			/* marked so, or not of this cluster */
	EV_ROW_MALFORMED
} EvRowKind;

typedef struct EvRow
{
	EvMessage	message;
	FullTransactionId txid;		/* invalid: the table has no such column */
	const char *name;			/* malformed: names the row */
	const char *reason;			/* malformed: says why */
} EvRow;

extern bool ev_row_needs_no_catalogs(const EvOutbox *outbox);
extern EvRowKind ev_row_read(const EvOutbox *outbox, const char *table,
							 TupleDesc desc, HeapTuple tuple, EvRow *row);

#endif							/* EV_ROW_H */
