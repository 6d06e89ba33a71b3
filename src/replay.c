/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  eventuate_replay(): messages of the past again.
 *
 * What is still in eventuate.message and eventuate.record is copied, as
 * records, into eventuate.record, in the caller's transaction.  Records are
 * what they were, ids included: who drops repeated messages drops these.
 *
 * No state outlives a call.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "argument.h"
#include "copy_record.h"
#include "copy_rows.h"
#include "own_table.h"
#include "shared.h"
#include "shared_commit.h"

PG_FUNCTION_INFO_V1(eventuate_replay);

/* What is asked for, and what was found. */
static TimestampTz first_time;
static TimestampTz end_time;
static const char *wanted_topic = NULL;
static int64 copied = 0;

/* Was the row made in the range? */
static bool
is_in_range(const EvOutbox *outbox, TupleTableSlot *slot)
{
	TimestampTz time;

	return ev_backlog_row_time(outbox, slot, &time) &&
		time >= first_time && time < end_time;
}

static void
copy_message(const EvOrigin *origin, const EvMessage *message)
{
	if (wanted_topic != NULL && strcmp(message->topic, wanted_topic) != 0)
		return;
	ev_copy_record(message);
	copied++;
}

/* It never was a message. */
static void
skip_malformed(const EvOrigin *origin, const EvMessage *message,
			   const char *row, const char *reason)
{
}

static const EvCopying replaying = {
	.filter = is_in_range,
	.message = copy_message,
	.malformed = skip_malformed
};

/* The two tables that functions send through, locked. */
static List *
lock_tables(void)
{
	Oid			schema = get_namespace_oid("eventuate", false);
	Oid			message = get_relname_relid("message", schema);
	Oid			record = ev_own_table("record");
	List	   *relations = NIL;

	if (OidIsValid(message))
		relations = ev_backlog_lock_table(message, AccessShareLock);
	if (OidIsValid(record))
		relations = list_concat(relations,
								ev_backlog_lock_table(record, AccessShareLock));
	return relations;
}

/*
 * eventuate_replay(since, until, channel): copies the messages that were sent
 * from "since" on, and before "until".  Returns their number.
 */
Datum
eventuate_replay(PG_FUNCTION_ARGS)
{
	ev_check_server("eventuate_replay()");
	ev_check_transaction("eventuate_replay()");
	ev_check_not_null(fcinfo, 0, "since");
	ev_check_not_null(fcinfo, 1, "until");
	first_time = PG_GETARG_TIMESTAMPTZ(0);
	end_time = PG_GETARG_TIMESTAMPTZ(1);
	wanted_topic = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	copied = 0;

	ev_copy_rows(lock_tables(), &replaying);
	ev_shared_request_at_commit();
	PG_RETURN_INT64(copied);
}
