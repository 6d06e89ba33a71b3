/*-------------------------------------------------------------------------
 *
 * row_debezium.c
 *	  A row of the table of Debezium's outbox event router.
 *
 * The record is the router's: topic by a pattern, key and value verbatim, a
 * header "id", further columns as headers if the label says so.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "row_reader.h"

/* One more header; false if the value cannot be had. */
static bool
add_header(RowReader *reader, EvMessage *message, EvHeader *header,
		   const char *name, Datum value, bool isnull, Oid type)
{
	header->name = name;
	header->value = NULL;
	header->value_length = 0;
	if (!isnull)
		header->value = ev_row_print(reader, value, type, &header->value_length);
	message->header_count++;
	return reader->reason == NULL;
}

static bool
add_headers(RowReader *reader, EvMessage *message)
{
	const EvOutbox *outbox = reader->outbox;
	const EvLabel *label = &outbox->label;
	EvHeader   *headers = palloc(sizeof(EvHeader) * (label->placement_count + 1));
	bool		fine;

	message->headers = headers;
	fine = add_header(reader, message, headers, "id",
					  ev_row_value(reader, EV_COLUMN_ID), false,
					  outbox->types[EV_COLUMN_ID]);
	for (int i = 0; fine && i < label->placement_count; i++)
	{
		AttrNumber	column = outbox->placements[i];

		fine = add_header(reader, message, &headers[i + 1],
						  label->placements[i].header, reader->values[column - 1],
						  reader->nulls[column - 1], outbox->placement_types[i]);
	}
	return fine;
}

bool
ev_row_read_debezium(RowReader *reader, EvMessage *message)
{
	if (message->id == NULL)
	{
		reader->reason = "the id is null";
		return false;
	}
	message->key = ev_row_bytes(reader, EV_COLUMN_KEY, &message->key_length);
	message->value = ev_row_bytes(reader, EV_COLUMN_VALUE,
								  &message->value_length);
	return reader->reason == NULL && add_headers(reader, message);
}
