/*-------------------------------------------------------------------------
 *
 * insert_record.c
 *	  One row into eventuate.record.
 *
 * Whatever is to become a plain Kafka record comes through here: new ones,
 * dead letters that are sent again, copies of other messages.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "insert.h"
#include "insert_record.h"
#include "message.h"
#include "shared_id.h"

static const struct
{
	const char *name;
	Oid			type;
}			columns[EV_RECORD_COLUMNS] =
{
	[EV_RECORD_TOPIC] = {"topic", TEXTOID},
	[EV_RECORD_KEY] = {"key", BYTEAOID},
	[EV_RECORD_VALUE] = {"value", BYTEAOID},
	[EV_RECORD_HEADERS] = {"headers", JSONBOID},
	[EV_RECORD_PARTITION] = {"partition", INT4OID},
	[EV_RECORD_TIME] = {"record_time", TIMESTAMPTZOID},
};

/*
 * Writes a record, with the rights of the current user, and returns its id.
 * The caller has checked the values, and made sure that the transaction may
 * write.
 */
text *
ev_insert_record(const NullableDatum *values)
{
	EvField		fields[EV_RECORD_COLUMNS + 3];
	int			count = 0;
	char		id[EV_ID_SIZE];
	text	   *id_text;

	ev_shared_next_id(id);
	id_text = cstring_to_text_with_len(id, EV_ID_LENGTH);
	fields[count++] = ev_field_varlena("id", TEXTOID, id_text);
	for (int i = 0; i < EV_RECORD_COLUMNS; i++)
	{
		EvField		field = {columns[i].name, columns[i].type, EV_FIELD_REQUIRED,
		values[i].isnull, values[i].value};

		fields[count++] = field;
	}
	fields[count++] = ev_field_creation_time();
	fields[count++] = ev_field_txid();
	ev_insert_row(EV_TABLE_RECORD, fields, count);
	return id_text;
}
