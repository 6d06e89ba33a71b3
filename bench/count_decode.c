/*-------------------------------------------------------------------------
 *
 * count_decode.c
 *	  An output plugin that only counts: how fast can WAL be decoded at all?
 *
 * For bench/ alone, read by pg_logical_slot_get_changes(), so in the process,
 * without a network.  Writes nothing; tells the number of inserted rows at
 * the end.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

static int64 rows;

static void
count_startup(LogicalDecodingContext *ctx, OutputPluginOptions *options,
			  bool is_init)
{
	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	rows = 0;
}

static void
count_begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

static void
count_change(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			 Relation relation, ReorderBufferChange *change)
{
	if (change->action == REORDER_BUFFER_CHANGE_INSERT)
		rows++;
}

static void
count_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
			 XLogRecPtr commit_lsn)
{
}

static void
count_shutdown(LogicalDecodingContext *ctx)
{
	if (rows > 0)
		elog(NOTICE, "%lld rows", (long long) rows);
}

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = count_startup;
	callbacks->begin_cb = count_begin;
	callbacks->change_cb = count_change;
	callbacks->commit_cb = count_commit;
	callbacks->shutdown_cb = count_shutdown;
}
