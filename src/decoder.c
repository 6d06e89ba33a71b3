/*-------------------------------------------------------------------------
 *
 * decoder.c
 *	  The output plugin: decoded changes of WAL become messages.
 *
 * In the publisher messages go to its sink, in the process.  For anybody else
 * who reads a slot with this plugin (pg_logical_slot_peek_changes(),
 * pg_recvlogical) each is written as one line of JSON.  Either way only
 * INSERTs into outboxes count, and rows for outboxes that are in WAL only
 * (wal_message.c); rows that a subscription applies do not.
 *
 * No user table is read here: callbacks run under the historic snapshot, in a
 * transaction that is aborted afterwards.  In the publisher rows come without
 * a callback as well (shortcut.c): then there is no transaction at all, and
 * nothing is looked up.  The decoder knows nothing of Kafka and keeps nothing
 * between transactions, so a restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "replication/logical.h"
#include "replication/origin.h"
#include "replication/output_plugin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "decoder.h"
#include "encoding.h"
#include "json.h"
#include "outbox.h"
#include "outbox_file.h"
#include "record_json.h"
#include "row.h"
#include "slot_list.h"
#include "text_form.h"
#include "wal_message.h"

/* State of one decoding session. */
typedef struct Decoder
{
	MemoryContext row_context;	/* reset with each row */
	bool		include_time;	/* text form: print the time of commit */
	bool		in_transaction; /* something of this one went to the sink */
	uint32		wal_position;	/* of the last row of it that is in WAL only */
	EvOrigin	origin;
} Decoder;

/* Where messages go in the publisher; NULL: the text form. */
static const EvSink *publisher_sink = NULL;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

/* From now on this process's decoding goes to "sink".  For the publisher. */
void
ev_decoder_set_sink(const EvSink *sink)
{
	publisher_sink = sink;
}

static void
read_options(Decoder *decoder, List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = (DefElem *) lfirst(cell);

		if (strcmp(option->defname, "include_time") == 0)
		{
			if (option->arg != NULL &&
				!parse_bool(strVal(option->arg), &decoder->include_time))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("could not parse value \"%s\" for parameter \"%s\"",
								strVal(option->arg), option->defname)));
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized option \"%s\" of output plugin \"eventuate\"",
							option->defname),
					 errhint("The only option is \"include_time\".")));
	}
}

/*
 * Who else reads the publisher's slot takes messages from it, and one that he
 * makes begins too late: both would lose messages without a trace.
 */
static void
refuse_publishers_slot(LogicalDecodingContext *ctx)
{
	const char *name = NameStr(ctx->slot->data.name);

	if (publisher_sink != NULL || IsBinaryUpgrade ||
		strcmp(name, ev_slot_name(MyDatabaseId)) != 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RESERVED_NAME),
			 errmsg("replication slot \"%s\" is for the publisher of this database only",
					name),
			 errhint("Create a slot with another name to look at messages.")));
}

static void
decoder_startup(LogicalDecodingContext *ctx, OutputPluginOptions *options,
				bool is_init)
{
	Decoder    *decoder = palloc0(sizeof(Decoder));

	refuse_publishers_slot(ctx);
	decoder->row_context = AllocSetContextCreate(ctx->context,
												 "eventuate decoded row",
												 ALLOCSET_DEFAULT_SIZES);
	decoder->include_time = true;
	read_options(decoder, ctx->output_plugin_options);
	ctx->output_plugin_private = decoder;
	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	options->receive_rewrites = false;
}

/* A transaction begins whose commit record ends at "end_lsn". */
void
ev_decoder_begin(LogicalDecodingContext *ctx, TransactionId xid,
				 XLogRecPtr end_lsn, TimestampTz commit_time)
{
	Decoder    *decoder = ctx->output_plugin_private;

	decoder->in_transaction = false;
	decoder->wal_position = 0;
	decoder->origin.end_lsn = end_lsn;
	decoder->origin.xid = xid;
	decoder->origin.commit_time = commit_time;
}

static void
decoder_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	ev_decoder_begin(ctx, txn->xid, txn->end_lsn, txn->xact_time.commit_time);

	/* Decoding has a (sub)transaction of its own, whose end puts them back. */
	if (publisher_sink == NULL)
		ev_text_form_assume();
}

/* The message as one line of JSON, in the database's encoding. */
static void
write_message(LogicalDecodingContext *ctx, const EvMessage *message)
{
	Decoder    *decoder = ctx->output_plugin_private;
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfoString(&line, "{\"topic\":");
	ev_json_append_string(&line, message->topic, strlen(message->topic));
	appendStringInfoChar(&line, ',');
	ev_record_json_append_bytes(&line, "key", "key_base64",
								message->key, message->key_length);
	appendStringInfoChar(&line, ',');
	ev_record_json_append_bytes(&line, "value", "value_base64",
								message->value, message->value_length);
	appendStringInfoChar(&line, ',');
	appendStringInfoString(&line, "\"headers\":");
	ev_record_json_append_headers(&line, message);
	if (message->partition == EV_ANY_PARTITION)
		appendStringInfoString(&line, ",\"partition\":null");
	else
		appendStringInfo(&line, ",\"partition\":%d", message->partition);
	if (decoder->include_time)
		appendStringInfo(&line, ",\"time\":\"%s\"",
						 timestamptz_to_str(decoder->origin.commit_time));
	appendStringInfoChar(&line, '}');

	OutputPluginPrepareWrite(ctx, true);
	ev_encoding_append(ctx->out, line.data, line.len);
	OutputPluginWrite(ctx, true);
}

static void
write_malformed(LogicalDecodingContext *ctx, const EvRow *row)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfoString(&line, "{\"malformed\":");
	ev_json_append_string(&line, row->name, strlen(row->name));
	appendStringInfoString(&line, ",\"reason\":");
	ev_json_append_string(&line, row->reason, strlen(row->reason));
	appendStringInfoChar(&line, '}');

	OutputPluginPrepareWrite(ctx, true);
	ev_encoding_append(ctx->out, line.data, line.len);
	OutputPluginWrite(ctx, true);
}

/* The 64 bits of the xid of a transaction that began before "next" did. */
static FullTransactionId
full_xid_before(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

/* The 64 bits of a recent transaction's xid. */
static FullTransactionId
full_xid(TransactionId xid)
{
	return full_xid_before(xid, ReadNextFullTransactionId());
}

/*
 * Was the row written by the transaction that its txid names?  If not it was
 * restored or copied from elsewhere and is not ours to publish.  What xid comes
 * next is behind a lock, and looked up only where what it was before will not do.
 */
static bool
is_own_row(const EvRow *row, TransactionId xid)
{
	static FullTransactionId next = {0};

	if (!FullTransactionIdIsValid(row->txid))
		return true;
	if (XidFromFullTransactionId(row->txid) != xid)
		return false;
	if (FullTransactionIdIsValid(next) &&
		FullTransactionIdEquals(row->txid, full_xid_before(xid, next)))
		return true;
	next = ReadNextFullTransactionId();
	return FullTransactionIdEquals(row->txid, full_xid_before(xid, next));
}

static void
emit_row(LogicalDecodingContext *ctx, const EvOutbox *outbox, EvRowKind kind,
		 const EvRow *row)
{
	Decoder    *decoder = ctx->output_plugin_private;

	decoder->in_transaction = true;
	decoder->origin.outbox = outbox->relid;
	if (kind == EV_ROW_MESSAGE && publisher_sink != NULL)
		publisher_sink->message(&decoder->origin, &row->message);
	else if (kind == EV_ROW_MESSAGE)
		write_message(ctx, &row->message);
	else if (publisher_sink != NULL)
		publisher_sink->malformed(&decoder->origin, &row->message, row->name,
								  row->reason);
	else
		write_malformed(ctx, row);
}

/* A new row of an outbox, whose name "table" is; in the row's memory context. */
static void
take_row(LogicalDecodingContext *ctx, const EvOutbox *outbox, const char *table,
		 TupleDesc desc, HeapTuple tuple)
{
	Decoder    *decoder = ctx->output_plugin_private;
	EvRow		row;
	EvRowKind	kind = ev_row_read(outbox, table, desc, tuple, &row);

	if (kind != EV_ROW_PUBLISHED && is_own_row(&row, decoder->origin.xid))
		emit_row(ctx, outbox, kind, &row);
}

/*
 * A new row of any table in a replay; in the row's memory context.  What is
 * found out of the table is kept for transactions that need no replay.
 */
static void
take_row_of(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			Relation relation, XLogRecPtr lsn, HeapTuple tuple)
{
	uint64		before = ev_outbox_generation();
	const EvOutbox *outbox = ev_outbox_find(relation);

	if (outbox != NULL && !ev_outbox_is_decoded(outbox))
		outbox = NULL;
	if (publisher_sink != NULL && before == ev_outbox_generation() &&
		!rbtxn_has_catalog_changes(txn) &&
		(outbox == NULL || ev_row_needs_no_catalogs(outbox)))
		ev_outbox_file_learn(relation, outbox, lsn);
	if (outbox != NULL)
		take_row(ctx, outbox, RelationGetRelationName(relation),
				 RelationGetDescr(relation), tuple);
}

static void
decoder_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			   Relation relation, ReorderBufferChange *change)
{
	Decoder    *decoder = ctx->output_plugin_private;
	HeapTuple	tuple;
	MemoryContext old_context;

	if (change->action != REORDER_BUFFER_CHANGE_INSERT)
		return;
	tuple = ev_change_newtuple_compat(change);
	if (tuple == NULL)
		return;
	old_context = MemoryContextSwitchTo(decoder->row_context);
	take_row_of(ctx, txn, relation, change->lsn, tuple);
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(decoder->row_context);
}

/* A new row, without a replay: of a file of an outbox. */
void
ev_decoder_row(LogicalDecodingContext *ctx, const EvOutboxFile *file,
			   HeapTuple tuple)
{
	Decoder    *decoder = ctx->output_plugin_private;
	MemoryContext old_context = MemoryContextSwitchTo(decoder->row_context);

	Assert(file->outbox != NULL);
	take_row(ctx, file->outbox, NameStr(file->name), file->desc, tuple);
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(decoder->row_context);
}

/* A row that is in WAL only; anybody else's messages are not for us. */
static void
decoder_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				XLogRecPtr lsn, bool transactional, const char *prefix,
				Size size, const char *content)
{
	Decoder    *decoder = ctx->output_plugin_private;
	MemoryContext old_context;
	HeapTuple	tuple;
	Oid			relid;

	if (!transactional || strcmp(prefix, EV_WAL_MESSAGE_PREFIX) != 0)
		return;
	old_context = MemoryContextSwitchTo(decoder->row_context);
	tuple = ev_wal_message_read(content, size, full_xid(txn->xid),
								&decoder->wal_position, &relid);
	if (tuple != NULL)
	{
		Relation	relation = RelationIdGetRelation(relid);

		if (relation != NULL)
		{
			take_row_of(ctx, txn, relation, lsn, tuple);
			RelationClose(relation);
		}
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(decoder->row_context);
}

/* The same, without a replay, of what says to be a row of this file's table. */
void
ev_decoder_message(LogicalDecodingContext *ctx, const EvOutboxFile *file,
				   const char *content, Size size)
{
	Decoder    *decoder = ctx->output_plugin_private;
	MemoryContext old_context = MemoryContextSwitchTo(decoder->row_context);
	Oid			relid;
	HeapTuple	tuple = ev_wal_message_read(content, size,
											full_xid(decoder->origin.xid),
											&decoder->wal_position, &relid);

	Assert(file->outbox != NULL);
	if (tuple != NULL)
		take_row(ctx, file->outbox, NameStr(file->name), file->desc, tuple);
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(decoder->row_context);
}

/* The transaction has no more rows. */
void
ev_decoder_commit(LogicalDecodingContext *ctx)
{
	Decoder    *decoder = ctx->output_plugin_private;

	if (decoder->in_transaction && publisher_sink != NULL)
		publisher_sink->commit(&decoder->origin);
	decoder->in_transaction = false;
}

static void
decoder_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			   XLogRecPtr commit_lsn)
{
	ev_decoder_commit(ctx);
}

/* Rows applied by a subscription were another database's messages. */
static bool
decoder_filter_by_origin(LogicalDecodingContext *ctx, RepOriginId origin)
{
	return origin != InvalidRepOriginId;
}

/* What PostgreSQL looks up in the library that a slot names as its plugin. */
void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = decoder_startup;
	callbacks->begin_cb = decoder_begin;
	callbacks->change_cb = decoder_change;
	callbacks->message_cb = decoder_message;
	callbacks->commit_cb = decoder_commit;
	callbacks->filter_by_origin_cb = decoder_filter_by_origin;
}
