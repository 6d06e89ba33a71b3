/*-------------------------------------------------------------------------
 *
 * row_events.c
 *	  A row of Eventuate Local's table of events.
 *
 * The record is the CDC service's PublishedEvent: members in this order, those
 * that are null left out.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "json.h"
#include "message.h"
#include "row_reader.h"

/* Java's subscribers know the topic of an entity type by this. */
#define DOLLAR_REPLACEMENT "_DLR_"

/* The topic of an entity type: nested classes have a dollar in their name. */
const char *
ev_row_events_topic(const char *entity_type)
{
	StringInfoData topic;

	initStringInfo(&topic);
	for (; *entity_type; entity_type++)
	{
		if (*entity_type == '$')
			appendStringInfoString(&topic, DOLLAR_REPLACEMENT);
		else
			appendStringInfoChar(&topic, *entity_type);
	}
	return topic.data;
}

/* Appends a member unless it is null; false: it does not fit, or is invalid. */
static bool
append_member(RowReader *reader, StringInfo out, const char *name,
			  const char *text, size_t length)
{
	if (reader->reason != NULL || text == NULL)
		return reader->reason == NULL;
	if (out->len + strlen(name) + ev_json_escaped_size(text, length) + 10 >=
		MaxAllocSize)
	{
		reader->reason = "the event is too large";
		return false;
	}
	appendStringInfo(out, "%c\"%s\":", out->len == 0 ? '{' : ',', name);
	ev_json_append_string(out, text, length);
	return true;
}

static bool
append_column(RowReader *reader, StringInfo out, const char *name,
			  EvColumn column)
{
	size_t		length;
	const char *text = ev_row_text(reader, column, &length);

	return append_member(reader, out, name, text, length);
}

/* The event's id: the row's own, or made of the number that it got. */
static const char *
event_id(RowReader *reader)
{
	const EvOutbox *outbox = reader->outbox;
	char	   *id = ev_row_cstring(reader, EV_COLUMN_ID);

	if (reader->reason != NULL || (id != NULL && id[0] != '\0'))
		return id;
	if (outbox->label.outbox_id < 0)
		reader->reason = "the row has no event_id, and the outbox has no outbox_id of which one could be made";
	else if (ev_row_is_null(reader, EV_COLUMN_DBID))
		reader->reason = "the row has neither event_id nor id";
	if (reader->reason != NULL)
		return NULL;
	id = palloc(EV_ID_SIZE);
	ev_message_format_int128(id, ev_row_integer(reader, EV_COLUMN_DBID),
							 outbox->label.outbox_id);
	return id;
}

bool
ev_row_read_events(RowReader *reader, EvMessage *message)
{
	StringInfoData value;

	message->id = event_id(reader);
	message->key = ev_row_text(reader, EV_COLUMN_KEY, &message->key_length);
	if (reader->reason == NULL && message->key == NULL)
		reader->reason = "the entity's id is null";
	if (reader->reason != NULL)
		return false;
	initStringInfo(&value);
	if (!append_member(reader, &value, "id", message->id, strlen(message->id)) ||
		!append_column(reader, &value, "entityId", EV_COLUMN_KEY) ||
		!append_column(reader, &value, "entityType", EV_COLUMN_TOPIC) ||
		!append_column(reader, &value, "eventData", EV_COLUMN_VALUE) ||
		!append_column(reader, &value, "eventType", EV_COLUMN_TYPE) ||
		!append_column(reader, &value, "metadata", EV_COLUMN_HEADERS))
		return false;
	appendStringInfoChar(&value, '}');
	message->value = value.data;
	message->value_length = value.len;
	return true;
}
