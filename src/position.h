/*-------------------------------------------------------------------------
 *
 * position.h
 *	  How far is published, as Kafka keeps it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_POSITION_H
#define EV_POSITION_H

#include "producer_transaction.h"

/*
 * Every transaction that ends at or before lsn is published, and the first so
 * many rows of the one that ends at "part_of".  lsn invalid: not known.
 */
typedef struct EvPosition
{
	XLogRecPtr	lsn;
	int64		rows;
	XLogRecPtr	part_of;		/* only if rows > 0 */
} EvPosition;

extern void ev_position_write(const EvPosition *position,
							  EvStoredPosition *stored);
extern EvPosition ev_position_read(const EvStoredPosition *stored);

#endif							/* EV_POSITION_H */
