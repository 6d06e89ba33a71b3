/*-------------------------------------------------------------------------
 *
 * stats_outbox.c
 *	  What pg_stat_eventuate_outbox shows: this database's outboxes.
 *
 * Which there are is told by their labels; what came of them by shared memory,
 * whose counters begin at zero with the server, or when they are reset.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/seclabel.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "outbox.h"
#include "shared_outbox.h"

PG_FUNCTION_INFO_V1(stat_outboxes);

/* The columns of eventuate.stat_outboxes(). */
enum
{
	COLUMN_RELID,
	COLUMN_SCHEMANAME,
	COLUMN_RELNAME,
	COLUMN_FORMAT,
	COLUMN_READER,
	COLUMN_OPTIONS,
	COLUMN_MESSAGES,
	COLUMN_MALFORMED,
	COLUMN_LAST_MESSAGE_TIME,
	COLUMN_STATE,
	COLUMN_LAST_ERROR,
	COLUMN_LAST_ERROR_TIME,
	COLUMN_COUNT
};

/* What is shown of an outbox that nobody has read yet. */
static const EvOutboxEntry unread = {0};

static void
put_name(Datum *value, bool *null, const char *text)
{
	Name		name = palloc0(sizeof(NameData));

	*null = text == NULL;
	if (text != NULL)
		namestrcpy(name, text);
	*value = NameGetDatum(name);
}

static void
put_time(Datum *value, bool *null, TimestampTz time)
{
	*null = time == 0;
	*value = TimestampTzGetDatum(time);
}

/* Who reads it, and the newest thing that went wrong. */
static void
put_state(Datum *values, bool *nulls, const EvLabel *label,
		  const EvOutboxEntry *outbox)
{
	EvDatabase *database = ev_shared_find(MyDatabaseId);
	bool		polled = label->reader == EV_READER_POLLING;
	EvState		state = polled ? outbox->poller.state :
	database ? database->publisher.state : EV_STATE_STARTING;
	bool		fails = outbox->poller.last_error[0] != '\0';
	const char *error = fails ? outbox->poller.last_error : outbox->last_error;

	values[COLUMN_STATE] = CStringGetTextDatum(ev_shared_state_name(state));
	nulls[COLUMN_LAST_ERROR] = error[0] == '\0';
	values[COLUMN_LAST_ERROR] = CStringGetTextDatum(error);
	put_time(&values[COLUMN_LAST_ERROR_TIME], &nulls[COLUMN_LAST_ERROR_TIME],
			 fails ? outbox->poller.last_error_time : outbox->last_error_time);
}

/* One row; the entry is a private copy. */
static void
put_row(ReturnSetInfo *result, Oid relid, const char *text, const EvLabel *label,
		const EvOutboxEntry *outbox)
{
	Datum		values[COLUMN_COUNT] = {0};
	bool		nulls[COLUMN_COUNT] = {0};

	values[COLUMN_RELID] = ObjectIdGetDatum(relid);
	put_name(&values[COLUMN_SCHEMANAME], &nulls[COLUMN_SCHEMANAME],
			 get_namespace_name(get_rel_namespace(relid)));
	put_name(&values[COLUMN_RELNAME], &nulls[COLUMN_RELNAME],
			 get_rel_name(relid));
	values[COLUMN_FORMAT] = CStringGetTextDatum(ev_label_format_name(label->format));
	values[COLUMN_READER] = CStringGetTextDatum(ev_label_reader_name(label->reader));
	values[COLUMN_OPTIONS] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
	values[COLUMN_MESSAGES] = Int64GetDatum(outbox->messages);
	values[COLUMN_MALFORMED] = Int64GetDatum(outbox->malformed);
	put_time(&values[COLUMN_LAST_MESSAGE_TIME], &nulls[COLUMN_LAST_MESSAGE_TIME],
			 outbox->last_message_time);
	put_state(values, nulls, label, outbox);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* What shared memory has of an outbox. */
static void
copy_entry(Oid relid, EvOutboxEntry *copy)
{
	EvOutboxEntry *outbox = ev_shared_outbox_find(MyDatabaseId, relid);

	*copy = unread;
	if (outbox == NULL)
		return;
	SpinLockAcquire(&outbox->mutex);
	*copy = *outbox;
	SpinLockRelease(&outbox->mutex);
	SpinLockAcquire(&outbox->poller.mutex);
	copy->poller = outbox->poller;
	SpinLockRelease(&outbox->poller.mutex);
}

/* eventuate.stat_outboxes(): the tables that are outboxes now. */
Datum
stat_outboxes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	ev_shared_require("pg_stat_eventuate_outbox");
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, ev_outbox_list())
	{
		ObjectAddress address = {RelationRelationId, lfirst_oid(cell), 0};
		const char *text = GetSecurityLabel(&address, "eventuate");
		const char *reason;
		EvLabel		label;
		EvOutboxEntry copy;

		if (text == NULL || !ev_label_parse(text, &label, &reason) ||
			!ev_label_is_attached(&label))
			continue;
		copy_entry(address.objectId, &copy);
		put_row(result, address.objectId, text, &label, &copy);
	}
	return (Datum) 0;
}
