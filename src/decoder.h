/*-------------------------------------------------------------------------
 *
 * decoder.h
 *	  The output plugin.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DECODER_H
#define EV_DECODER_H

#include "access/htup.h"
#include "replication/logical.h"

#include "eventuate.h"
#include "outbox_file.h"

extern void ev_decoder_set_sink(const EvSink *sink);

extern void ev_decoder_begin(LogicalDecodingContext *ctx, TransactionId xid,
							 XLogRecPtr end_lsn, TimestampTz commit_time);
extern void ev_decoder_row(LogicalDecodingContext *ctx,
						   const EvOutboxFile *file, HeapTuple tuple);
extern void ev_decoder_message(LogicalDecodingContext *ctx,
							   const EvOutboxFile *file,
							   const char *content, Size size);
extern void ev_decoder_commit(LogicalDecodingContext *ctx);

#endif							/* EV_DECODER_H */
