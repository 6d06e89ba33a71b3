/*-------------------------------------------------------------------------
 *
 * shortcut.c
 *	  Ordinary transactions, without PostgreSQL's replay.
 *
 * PostgreSQL collects the changes of a transaction in its reorder buffer and
 * replays them at the commit: inside a transaction of its own, under a
 * historic snapshot of the catalogs.  Most transactions need none of that.
 * Where the table of a row is known (outbox_file.c) its row waits here for
 * the commit and goes to the decoder at once; changes of tables that are no
 * outboxes are not collected at all.
 *
 * Whatever is not ordinary goes the long way, whole: subtransactions, values
 * that are TOASTed, prepared and large transactions, ON CONFLICT, COPY, rows
 * that are replicated from elsewhere, all that is written by a transaction
 * that changes a catalog, or by others while one commits, and tables that are
 * not known yet.  In doubt what is here is given to the reorder buffer, and
 * nothing is lost but time.  A transaction that has anything there stays there:
 * it comes in one piece, and TOASTed values find the chunks that they are of.
 *
 * Promises: what is published, and in which order, is what a replay would have
 * published.  PostgreSQL knows of every transaction that has a row here, so
 * that WAL is kept, and sees every record that says something of catalogs,
 * snapshots or the end of a transaction.
 *
 * Nothing survives a restart, which reads the transactions again.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam_xlog.h"
#include "access/htup_details.h"
#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlogreader.h"
#include "access/xlogrecord.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "replication/message.h"
#include "replication/origin.h"
#include "replication/snapbuild.h"
#include "storage/standbydefs.h"

#include "decoder.h"
#include "shortcut.h"
#include "shortcut_held.h"
#include "wal_message.h"

/* Does the record's transaction go the long way, as far as is known? */
static bool
goes_long_way(LogicalDecodingContext *ctx, TransactionId xid)
{
	return !TransactionIdIsValid(xid) ||
		TransactionIdIsValid(XLogRecGetTopXid(ctx->reader)) ||
		ReorderBufferXidHasBaseSnapshot(ctx->reorder, xid);
}

/* ---------------------------------------------------------------------
 * Changes
 * ---------------------------------------------------------------------
 */

/* Whose rows the record changes; NULL: nobody knows. */
static const EvOutboxFile *
find_file(XLogReaderState *reader)
{
	EvFileLocator locator;

	XLogRecGetBlockTag(reader, 0, &locator, NULL, NULL);
	return ev_outbox_file_find(&locator);
}

/* Holds the row of an ordinary INSERT into an outbox; false: it is none. */
static bool
hold_row(LogicalDecodingContext *ctx, const EvOutboxFile *file)
{
	XLogReaderState *reader = ctx->reader;
	TransactionId xid = XLogRecGetXid(reader);
	Size		length;
	char	   *data = XLogRecGetBlockData(reader, 0, &length);
	Size		size = length - SizeOfHeapHeader + SizeofHeapTupleHeader;
	xl_heap_header header;
	EvHeldRow  *row;

	if (data == NULL || length < SizeOfHeapHeader)
		return false;
	memcpy(&header, data, SizeOfHeapHeader);
	if ((header.t_infomask & HEAP_HASEXTERNAL) != 0 || !ev_held_may_add(xid, size))
		return false;
	ReorderBufferProcessXid(ctx->reorder, xid, reader->ReadRecPtr);
	row = ev_held_add(xid, reader->ReadRecPtr, size);
	row->is_message = false;
	row->locator = file->locator;
	memset(row->tuple.t_data, 0, SizeofHeapTupleHeader);
	memcpy((char *) row->tuple.t_data + SizeofHeapTupleHeader,
		   data + SizeOfHeapHeader, length - SizeOfHeapHeader);
	row->tuple.t_data->t_infomask = header.t_infomask;
	row->tuple.t_data->t_infomask2 = header.t_infomask2;
	row->tuple.t_data->t_hoff = header.t_hoff;
	return true;
}

static bool
take_insert(LogicalDecodingContext *ctx, const EvOutboxFile *file)
{
	xl_heap_insert *insert = (xl_heap_insert *) XLogRecGetData(ctx->reader);

	/* What is confirmed or taken back later has to be known then. */
	if ((insert->flags & XLH_INSERT_IS_SPECULATIVE) != 0)
		return false;
	if (file->outbox == NULL)
		return true;
	return (insert->flags & XLH_INSERT_CONTAINS_NEW_TUPLE) != 0 &&
		XLogRecGetOrigin(ctx->reader) == InvalidRepOriginId &&
		hold_row(ctx, file);
}

/* A change of a heap; false: not for us. */
static bool
take_heap(LogicalDecodingContext *ctx)
{
	XLogReaderState *reader = ctx->reader;
	uint8		operation = XLogRecGetInfo(reader) & XLOG_HEAP_OPMASK;
	const EvOutboxFile *file;

	if (operation != XLOG_HEAP_INSERT && operation != XLOG_HEAP_UPDATE &&
		operation != XLOG_HEAP_HOT_UPDATE && operation != XLOG_HEAP_DELETE)
		return false;
	file = find_file(reader);
	if (file == NULL || goes_long_way(ctx, XLogRecGetXid(reader)))
		return false;
	return operation != XLOG_HEAP_INSERT || take_insert(ctx, file);
}

/* Many rows at once: taken where none of them is a message. */
static bool
take_heap2(LogicalDecodingContext *ctx)
{
	XLogReaderState *reader = ctx->reader;
	const EvOutboxFile *file;

	if ((XLogRecGetInfo(reader) & XLOG_HEAP_OPMASK) != XLOG_HEAP2_MULTI_INSERT)
		return false;
	file = find_file(reader);
	return file != NULL && file->outbox == NULL &&
		!goes_long_way(ctx, XLogRecGetXid(reader));
}

/* Holds a row that is in WAL only; false: it is something else. */
static bool
take_message(LogicalDecodingContext *ctx)
{
	XLogReaderState *reader = ctx->reader;
	TransactionId xid = XLogRecGetXid(reader);
	xl_logical_message *message = (xl_logical_message *) XLogRecGetData(reader);
	EvHeldRow  *row;

	if (!message->transactional || message->dbId != MyDatabaseId ||
		XLogRecGetOrigin(reader) != InvalidRepOriginId ||
		strcmp(message->message, EV_WAL_MESSAGE_PREFIX) != 0 ||
		goes_long_way(ctx, xid) || !ev_held_may_add(xid, message->message_size))
		return false;
	ReorderBufferProcessXid(ctx->reorder, xid, reader->ReadRecPtr);

	/* As PostgreSQL has it: a message's position is its end. */
	row = ev_held_add(xid, reader->EndRecPtr, message->message_size);
	row->is_message = true;
	memcpy(row->tuple.t_data, message->message + message->prefix_size,
		   message->message_size);
	return true;
}

/*
 * May PostgreSQL collect the record as a change of its transaction?  Locks of
 * rows, as foreign keys take them, and the upkeep of pages are none.
 */
static bool
may_be_collected(XLogReaderState *reader)
{
	uint8		operation = XLogRecGetInfo(reader) & XLOG_HEAP_OPMASK;

	switch (XLogRecGetRmid(reader))
	{
		case RM_HEAP_ID:
			return operation != XLOG_HEAP_LOCK;
		case RM_HEAP2_ID:
			return operation == XLOG_HEAP2_MULTI_INSERT ||
				operation == XLOG_HEAP2_NEW_CID;
		default:
			return true;
	}
}

/* Takes what it can of a change; the rest PostgreSQL has to see in order. */
static void
decode_change(LogicalDecodingContext *ctx, bool (*take) (LogicalDecodingContext *ctx))
{
	if (SnapBuildCurrentState(ctx->snapshot_builder) == SNAPBUILD_CONSISTENT &&
		take(ctx))
		return;
	if (may_be_collected(ctx->reader))
		ev_held_give(ctx, XLogRecGetXid(ctx->reader));
	LogicalDecodingProcessRecord(ctx, ctx->reader);
}

/* ---------------------------------------------------------------------
 * Ends of transactions
 * ---------------------------------------------------------------------
 */

/* What is known of a row's table; NULL: nothing anymore. */
static const EvOutboxFile *
file_of(const EvHeldRow *row)
{
	if (row->is_message)
		return ev_outbox_file_find_table(ev_wal_message_table((const char *) row->tuple.t_data,
															  row->tuple.t_len));
	return ev_outbox_file_find(&row->locator);
}

/* Are the tables of all rows known still? */
static bool
is_known(const EvHeldRow *row)
{
	while (row != NULL && file_of(row) != NULL)
		row = row->next;
	return row == NULL;
}

/* Would PostgreSQL replay the transaction? */
static bool
is_wanted(LogicalDecodingContext *ctx, const xl_xact_parsed_commit *commit)
{
	return XLogRecGetOrigin(ctx->reader) == InvalidRepOriginId &&
		(!OidIsValid(commit->dbId) || commit->dbId == MyDatabaseId) &&
		!SnapBuildXactNeedsSkip(ctx->snapshot_builder, ctx->reader->ReadRecPtr);
}

static void
publish(LogicalDecodingContext *ctx, TransactionId xid, TimestampTz time)
{
	ev_decoder_begin(ctx, xid, ctx->reader->EndRecPtr, time);
	for (const EvHeldRow *row = ev_held_rows(xid); row != NULL; row = row->next)
	{
		const EvOutboxFile *file = file_of(row);

		CHECK_FOR_INTERRUPTS();
		if (file == NULL)
			elog(ERROR, "the table of a row of transaction %u is not known anymore", xid);
		if (row->is_message)
			ev_decoder_message(ctx, file, (const char *) row->tuple.t_data,
							   row->tuple.t_len);
		else
			ev_decoder_row(ctx, file, unconstify(HeapTupleData *, &row->tuple));
	}
	ev_decoder_commit(ctx);
}

/*
 * A transaction commits that may have changed a catalog: what others have
 * written is to be read with the catalogs from before, and what is known of
 * tables may not be true of what follows.
 */
static void
expect_change_of_catalogs(LogicalDecodingContext *ctx, TransactionId xid)
{
	ev_held_give_all(ctx, xid);
	ev_outbox_file_forget(ctx->reader->EndRecPtr);
}

static void
forget(TransactionId xid, int count, const TransactionId *children)
{
	for (int i = 0; i < count; i++)
		ev_held_forget(children[i]);
	ev_held_forget(xid);
}

static void
decode_commit(LogicalDecodingContext *ctx)
{
	XLogReaderState *reader = ctx->reader;
	xl_xact_parsed_commit commit;
	TransactionId xid = XLogRecGetXid(reader);
	bool		ours;

	ParseCommitRecord(XLogRecGetInfo(reader),
					  (xl_xact_commit *) XLogRecGetData(reader), &commit);
	if (TransactionIdIsValid(commit.twophase_xid))
		xid = commit.twophase_xid;
	if ((commit.xinfo & XACT_XINFO_HAS_INVALS) != 0 ||
		ReorderBufferXidHasCatalogChanges(ctx->reorder, xid))
		expect_change_of_catalogs(ctx, xid);
	for (int i = 0; i < commit.nsubxacts; i++)
		ev_held_give(ctx, commit.subxacts[i]);
	ours = commit.nsubxacts == 0 &&
		!ReorderBufferXidHasBaseSnapshot(ctx->reorder, xid) &&
		is_wanted(ctx, &commit) && is_known(ev_held_rows(xid));
	if (!ours)
		ev_held_give(ctx, xid);
	LogicalDecodingProcessRecord(ctx, reader);
	if (ours && ev_held_rows(xid) != NULL)
		publish(ctx, xid, commit.xact_time);
	forget(xid, commit.nsubxacts, commit.subxacts);
}

static void
decode_abort(LogicalDecodingContext *ctx)
{
	XLogReaderState *reader = ctx->reader;
	xl_xact_parsed_abort abort;

	ParseAbortRecord(XLogRecGetInfo(reader),
					 (xl_xact_abort *) XLogRecGetData(reader), &abort);
	forget(TransactionIdIsValid(abort.twophase_xid) ? abort.twophase_xid : XLogRecGetXid(reader),
		   abort.nsubxacts, abort.subxacts);
	LogicalDecodingProcessRecord(ctx, reader);
}

static void
decode_xact(LogicalDecodingContext *ctx)
{
	switch (XLogRecGetInfo(ctx->reader) & XLOG_XACT_OPMASK)
	{
		case XLOG_XACT_COMMIT:
		case XLOG_XACT_COMMIT_PREPARED:
			decode_commit(ctx);
			break;
		case XLOG_XACT_ABORT:
		case XLOG_XACT_ABORT_PREPARED:
			decode_abort(ctx);
			break;
		default:
			ev_held_give(ctx, XLogRecGetXid(ctx->reader));
			LogicalDecodingProcessRecord(ctx, ctx->reader);
			break;
	}
}

static void
decode_standby(LogicalDecodingContext *ctx)
{
	XLogReaderState *reader = ctx->reader;

	if ((XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == XLOG_RUNNING_XACTS)
		ev_held_forget_before(((xl_running_xacts *) XLogRecGetData(reader))->oldestRunningXid);
	LogicalDecodingProcessRecord(ctx, reader);
}

/* Decodes the record that was read last. */
void
ev_shortcut_decode(LogicalDecodingContext *ctx)
{
	switch (XLogRecGetRmid(ctx->reader))
	{
		case RM_HEAP_ID:
			decode_change(ctx, take_heap);
			break;
		case RM_HEAP2_ID:
			decode_change(ctx, take_heap2);
			break;
		case RM_LOGICALMSG_ID:
			decode_change(ctx, take_message);
			break;
		case RM_XACT_ID:
			decode_xact(ctx);
			break;
		case RM_STANDBY_ID:
			decode_standby(ctx);
			break;
		default:
			LogicalDecodingProcessRecord(ctx, ctx->reader);
			break;
	}
}
