/*-------------------------------------------------------------------------
 *
 * row_eventuate.c
 *	  A row of Tram's table message, in any of its variants.
 *
 * Key and value are what the Eventuate CDC service makes of the row.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "header_text.h"
#include "json.h"
#include "message.h"
#include "row_reader.h"

/* A smaller row need not be measured: whatever is escaped, it is no gigabyte. */
#define LARGE_ROW (1024 * 1024)

/* In bytes: as much as most records need while they are made. */
#define USUAL_VALUE 4096

/* Growing would cost a copy, and escaping asks for more than it mostly needs. */
static void
init_value(StringInfo value)
{
	value->data = palloc(USUAL_VALUE);
	value->maxlen = USUAL_VALUE;
	resetStringInfo(value);
}

/*
 * Where the database gives the ids, the headers have none until here: it is
 * made of the row's number and of what the outbox is called.
 */
static void
give_id(RowReader *reader, EvHeaderText *headers)
{
	const EvOutbox *outbox = reader->outbox;
	StringInfoData json;
	char		id[EV_ID_SIZE];

	if (outbox->columns[EV_COLUMN_DBID] == 0)
		reader->reason = "the headers have no ID";
	else if (outbox->label.outbox_id < 0)
		reader->reason = "the headers have no ID, and the outbox has no outbox_id of which one could be made";
	else if (ev_row_is_null(reader, EV_COLUMN_DBID))
		reader->reason = "the headers have no ID, and the row has no dbid of which one could be made";
	if (reader->reason != NULL)
		return;
	ev_message_format_int128(id, ev_row_integer(reader, EV_COLUMN_DBID),
							 outbox->label.outbox_id + outbox->shard);
	initStringInfo(&json);
	appendBinaryStringInfo(&json, headers->json, headers->json_length - 1);
	if (headers->json_length > EV_LITERAL_LENGTH("{}"))
		appendStringInfoChar(&json, ',');
	appendStringInfo(&json, "\"" EV_HEADER_ID "\":\"%s\"}", id);
	headers->json = json.data;
	headers->json_length = json.len;
	headers->id = pstrdup(id);
	headers->id_length = EV_ID_LENGTH;
}

/* Is it the one that the headers have, as it mostly is? */
static bool
is_id(const char *id, const EvHeaderText *headers)
{
	return id != NULL && strlen(id) == headers->id_length &&
		memcmp(id, headers->id, headers->id_length) == 0;
}

/*
 * A row of Tram's table: key and value as the Eventuate CDC service makes
 * them.  The header ID counts, never the column.
 */
bool
ev_row_read_eventuate(RowReader *reader, EvMessage *message)
{
	StringInfoData value;
	StringInfoData scratch;
	EvHeaderText headers;
	const char *text;
	const char *payload;
	size_t		length;
	size_t		payload_length;

	payload = ev_row_text(reader, EV_COLUMN_VALUE, &payload_length);
	if (payload == NULL)
	{
		if (reader->reason == NULL)
			reader->reason = "the payload is null";
		return false;
	}

	/* For whoever has to do with the row if it is malformed. */
	message->value = payload;
	message->value_length = payload_length;

	text = ev_row_text(reader, EV_COLUMN_HEADERS, &length);
	if (text == NULL)
	{
		if (reader->reason == NULL)
			reader->reason = "the headers are null";
		return false;
	}
	initStringInfo(&scratch);
	reader->reason = ev_header_text_parse(text, length, &scratch, &headers);
	if (reader->reason == NULL && headers.id == NULL)
		give_id(reader, &headers);
	if (reader->reason != NULL)
		return false;
	if (payload_length + headers.json_length > LARGE_ROW &&
		ev_message_envelope_size(payload, payload_length,
								 headers.json_length) >= MaxAllocSize)
	{
		reader->reason = "the message is too large";
		return false;
	}
	init_value(&value);
	ev_message_append_envelope(&value, payload, payload_length,
							   headers.json, headers.json_length);
	message->value = value.data;
	message->value_length = value.len;
	message->key = headers.partition_id ? headers.partition_id : headers.id;
	message->key_length = headers.partition_id ?
		headers.partition_id_length : headers.id_length;
	if (!is_id(message->id, &headers))
		message->id = ev_row_copy(headers.id, headers.id_length);
	return true;
}
