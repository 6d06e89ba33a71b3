/*-------------------------------------------------------------------------
 *
 * row.c
 *	  How a row of an outbox becomes a message.
 *
 * The decoder reads rows out of WAL, recovery out of the table: both through
 * ev_row_read(), so that a message is the same whichever way it takes.
 * Reading a row touches no user table (TOASTed values of WAL come with it)
 * and throws for nothing that a row can hold: such a row is malformed.
 *
 * Nothing is kept from row to row, so a restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/xid8.h"

#include "message.h"
#include "row_reader.h"
#include "spool.h"

/* More than Kafka takes would only be carried about: in bytes, less than 1 GB. */
#define MAX_SIZE 1000000000

/* How much of an id names a row, in bytes. */
#define MAX_SHOWN_ID 200

/* What stands for the value of the topic's column in a pattern. */
#define ROUTED_BY_VALUE "${routedByValue}"

/* The topic of rows whose column "topic" holds "value". */
static const char *
route(const char *pattern, const char *value)
{
	StringInfoData topic;
	const char *variable;

	if (pattern == NULL)
		return value;
	initStringInfo(&topic);
	while (value != NULL && (variable = strstr(pattern, ROUTED_BY_VALUE)) != NULL)
	{
		appendBinaryStringInfo(&topic, pattern, variable - pattern);
		appendStringInfoString(&topic, value);
		pattern = variable + strlen(ROUTED_BY_VALUE);
	}
	appendStringInfoString(&topic, pattern);
	return topic.data;
}

/* Does the label allow the topic?  It is ASCII by now. */
static bool
is_allowed(const EvLabel *label, const char *topic)
{
	char	   *pattern;

	if (label->topics == NULL)
		return true;
	pattern = psprintf("^(?:%s)$", label->topics);
	return RE_compile_and_execute(cstring_to_text(pattern),
								  unconstify(char *, topic), strlen(topic),
								  REG_ADVANCED, C_COLLATION_OID, 0, NULL);
}

static void
read_topic(RowReader *reader, EvMessage *message)
{
	const EvLabel *label = &reader->outbox->label;
	char	   *value = ev_row_cstring(reader, EV_COLUMN_TOPIC);

	if (reader->reason != NULL)
		return;
	if (value == NULL && reader->outbox->columns[EV_COLUMN_TOPIC] != 0)
	{
		reader->reason = "the topic is null";
		return;
	}
	message->topic = label->format == EV_FORMAT_EVENTS ?
		ev_row_events_topic(value) : route(label->topic, value);
	reader->reason = ev_message_check_topic(message->topic,
											strlen(message->topic));
	if (reader->reason == NULL && !is_allowed(label, message->topic))
		reader->reason = psprintf("topic \"%s\" is not among those that the outbox is attached for",
								  message->topic);
}

static void
read_partition(RowReader *reader, EvMessage *message)
{
	int64		partition;

	message->partition = EV_ANY_PARTITION;
	if (ev_row_is_null(reader, EV_COLUMN_PARTITION))
		return;
	partition = ev_row_integer(reader, EV_COLUMN_PARTITION);
	if (partition < 0)
		reader->reason = "the partition is negative";
	else if (partition > PG_INT32_MAX)
		reader->reason = "the partition is too large";
	else
		message->partition = (int32) partition;
}

/* What every format has, or may have. */
static bool
read_common(RowReader *reader, EvMessage *message)
{
	message->id = ev_row_cstring(reader, EV_COLUMN_ID);
	if (reader->reason == NULL)
		read_topic(reader, message);
	if (reader->reason == NULL)
		read_partition(reader, message);
	if (reader->reason == NULL && !ev_row_is_null(reader, EV_COLUMN_TIME))
		message->timestamp = ev_row_epoch_ms(reader, EV_COLUMN_TIME);
	return reader->reason == NULL;
}

static bool
read_format(RowReader *reader, EvMessage *message)
{
	switch (reader->outbox->label.format)
	{
		case EV_FORMAT_EVENTUATE:
			return ev_row_read_eventuate(reader, message);
		case EV_FORMAT_EVENTS:
			return ev_row_read_events(reader, message);
		case EV_FORMAT_DEBEZIUM:
			return ev_row_read_debezium(reader, message);
		case EV_FORMAT_RAW:
			return ev_row_read_raw(reader, message);
	}
	return false;
}

/* Would reading the same row throw this once more? */
static bool
is_fault_of_row(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		error->sqlerrcode == ERRCODE_INTERNAL_ERROR;
}

/*
 * All of a message; false, with a reason, if the row cannot be one.  There are
 * rows that no text can be made of: a jsonb of 100 kB holds numbers enough of
 * 131,072 digits to fill more memory than PostgreSQL gives out at once.  Only
 * memory was touched when such a one throws.
 */
static bool
read_message(RowReader *reader, EvMessage *message)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool fine = false;

	PG_TRY();
	{
		fine = read_common(reader, message) && read_format(reader, message);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_fault_of_row(error))
			PG_RE_THROW();
		FlushErrorState();
		reader->reason = ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED ?
			"a value is too large as text" : error->message;
	}
	PG_END_TRY();
	return fine;
}

/* What a message takes where it has to wait: its id twice. */
static size_t
waiting_size(const EvMessage *message)
{
	return ev_spool_message_size(message) + (message->id == NULL ? 0 : strlen(message->id));
}

/* What a malformed row is called; the id, if there is one, is UTF-8. */
static char *
row_name(const char *id, const char *table)
{
	int			length;

	if (id == NULL)
		return psprintf("row \"?\" of table \"%s\"", table);
	length = pg_encoding_mbcliplen(PG_UTF8, id, strnlen(id, MAX_SHOWN_ID + 1),
								   MAX_SHOWN_ID);
	return psprintf("row \"%.*s\" of table \"%s\"", length, id, table);
}

/* Is the column text, or bytes: not looked at as a number or a time? */
static bool
is_printed(EvColumn column)
{
	return column != EV_COLUMN_PUBLISHED && column != EV_COLUMN_TXID &&
		column != EV_COLUMN_DBID && column != EV_COLUMN_PARTITION &&
		column != EV_COLUMN_TIME;
}

/*
 * Can rows of the outbox be read where there is no transaction, so that
 * nothing can be looked up in the catalogs?
 */
bool
ev_row_needs_no_catalogs(const EvOutbox *outbox)
{
	int			encoding = GetDatabaseEncoding();

	if (outbox->problem != NULL ||
		(encoding != PG_UTF8 && encoding != PG_SQL_ASCII))
		return false;
	for (int column = 0; column < EV_COLUMN_COUNT; column++)
	{
		Oid			type = outbox->types[column];

		if (OidIsValid(type) && is_printed(column) && type != BYTEAOID &&
			!ev_row_prints_without_catalogs(type))
			return false;
	}
	for (int i = 0; i < outbox->label.placement_count; i++)
	{
		if (!ev_row_connects_without_catalogs(outbox->placed[i].type))
			return false;
	}
	return true;
}

/*
 * Makes a message of a row of the table so called; "desc" is what the outbox's
 * columns were mapped on.  Everything lives in the current memory context,
 * which the caller resets after use.
 */
EvRowKind
ev_row_read(const EvOutbox *outbox, const char *table, TupleDesc desc,
			HeapTuple tuple, EvRow *row)
{
	static const EvMessage nothing = {.partition = EV_ANY_PARTITION};
	RowReader	reader = {outbox, NULL, NULL, outbox->problem};
	bool		fine = false;
	bool		too_large;

	memset(row, 0, sizeof(EvRow));
	reader.values = palloc(sizeof(Datum) * desc->natts);
	reader.nulls = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(tuple, desc, reader.values, reader.nulls);

	if (reader.reason == NULL &&
		!ev_row_is_null(&reader, EV_COLUMN_PUBLISHED) &&
		ev_row_integer(&reader, EV_COLUMN_PUBLISHED) != 0)
		return EV_ROW_PUBLISHED;
	if (reader.reason == NULL && !ev_row_is_null(&reader, EV_COLUMN_TXID))
		row->txid = DatumGetFullTransactionId(ev_row_value(&reader, EV_COLUMN_TXID));
	if (reader.reason == NULL)
		fine = read_message(&reader, &row->message);
	too_large = waiting_size(&row->message) > MAX_SIZE;
	if (fine && !too_large)
		return EV_ROW_MESSAGE;

	Assert(too_large || reader.reason != NULL);
	row->reason = too_large ? "the row is too large" : reader.reason;
	row->name = row_name(row->message.id, table);
	if (too_large)
		row->message = nothing;
	return EV_ROW_MALFORMED;
}
