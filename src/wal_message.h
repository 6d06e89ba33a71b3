/*-------------------------------------------------------------------------
 *
 * wal_message.h
 *	  Rows that are written to the write-ahead log only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_WAL_MESSAGE_H
#define EV_WAL_MESSAGE_H

#include "access/htup.h"
#include "access/transam.h"

/* What a logical message of ours is called. */
#define EV_WAL_MESSAGE_PREFIX "eventuate"

extern XLogRecPtr ev_wal_message_write(Oid relid, HeapTuple tuple);
extern Oid	ev_wal_message_table(const char *content, Size size);
extern HeapTuple ev_wal_message_read(const char *content, Size size,
									 FullTransactionId xid, uint32 *position,
									 Oid *relid);

#endif							/* EV_WAL_MESSAGE_H */
