/*-------------------------------------------------------------------------
 *
 * row_debezium.c
 *	  A row of the table of Debezium's outbox event router.
 *
 * The record is the router's: topic by a pattern, the key as text, the payload
 * as it is or expanded, a header "id", further columns as headers or as the
 * partition if the label says so.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "connect_json.h"
#include "row_reader.h"

/* Longer payloads are not made into JSON: keeps it below 1 GB. */
#define MAX_JSON_PAYLOAD (64 * 1024 * 1024)

/* One more header; false if the value cannot be had. */
static bool
add_header(RowReader *reader, EvMessage *message, EvHeader *header,
		   const char *name, const EvPlaced *placed)
{
	header->name = name;
	header->value = NULL;
	header->value_length = 0;
	if (!reader->nulls[placed->column - 1])
		header->value = ev_row_connect_text(reader,
											reader->values[placed->column - 1],
											placed->type, placed->typmod,
											&header->value_length);
	message->header_count++;
	return reader->reason == NULL;
}

static bool
add_headers(RowReader *reader, EvMessage *message)
{
	const EvOutbox *outbox = reader->outbox;
	const EvLabel *label = &outbox->label;
	EvHeader   *headers = palloc(sizeof(EvHeader) * (label->placement_count + 1));
	EvPlaced	id = {outbox->columns[EV_COLUMN_ID], outbox->types[EV_COLUMN_ID], -1};
	bool		fine;

	message->headers = headers;
	fine = add_header(reader, message, headers, "id", &id);
	for (int i = 0; fine && i < label->placement_count; i++)
		fine = add_header(reader, message, &headers[i + 1],
						  label->placements[i].header, &outbox->placed[i]);
	return fine;
}

static void
read_key(RowReader *reader, EvMessage *message)
{
	if (ev_row_is_null(reader, EV_COLUMN_KEY) ||
		reader->outbox->types[EV_COLUMN_KEY] == BYTEAOID)
		message->key = ev_row_bytes(reader, EV_COLUMN_KEY, &message->key_length);
	else
		message->key = ev_row_connect_text(reader,
										   ev_row_value(reader, EV_COLUMN_KEY),
										   reader->outbox->types[EV_COLUMN_KEY],
										   -1, &message->key_length);
}

/* Is there nothing in a payload but what Java's trim() takes away? */
static bool
is_blank(const RowReader *reader, const EvMessage *message)
{
	if (message->value == NULL)
		return true;
	if (reader->outbox->types[EV_COLUMN_VALUE] == BYTEAOID)
		return false;
	for (size_t i = 0; i < message->value_length; i++)
	{
		if ((unsigned char) message->value[i] > ' ')
			return false;
	}
	return true;
}

/* Makes JSON of the payload: that which it is, or a string. */
static void
make_json(RowReader *reader, EvMessage *message)
{
	StringInfoData json;

	if (message->value_length > MAX_JSON_PAYLOAD)
	{
		reader->reason = "the payload is too large";
		return;
	}
	initStringInfo(&json);
	if (message->value == NULL)
		appendStringInfoString(&json, "null");
	else if (!ev_connect_json_expand(&json, message->value, message->value_length))
		ev_connect_json_append_string(&json, message->value, message->value_length);
	message->value = json.data;
	message->value_length = json.len;
}

static void
read_payload(RowReader *reader, EvMessage *message)
{
	const EvLabel *label = &reader->outbox->label;

	message->value = ev_row_bytes(reader, EV_COLUMN_VALUE,
								  &message->value_length);
	if (reader->reason != NULL)
		return;
	if (label->tombstone_on_empty && is_blank(reader, message))
	{
		message->value = NULL;
		message->value_length = 0;
	}
	else if (label->expand_json)
		make_json(reader, message);
}

bool
ev_row_read_debezium(RowReader *reader, EvMessage *message)
{
	if (message->id == NULL)
	{
		reader->reason = "the id is null";
		return false;
	}
	read_key(reader, message);
	if (reader->reason == NULL)
		read_payload(reader, message);
	return reader->reason == NULL && add_headers(reader, message);
}
