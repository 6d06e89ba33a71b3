/*-------------------------------------------------------------------------
 *
 * copy_record.c
 *	  Messages that go through eventuate.record.
 *
 * What cannot be read in the write-ahead log where it is - rows that were
 * there before their table was attached, rows of foreign tables, messages of
 * the past - is copied, as records, into eventuate.record.  So the publisher
 * finds it in the write-ahead log after all, in its place, with all that it
 * promises.
 *
 * Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "copy_record.h"
#include "insert_record.h"
#include "own_table.h"
#include "record_json.h"

/*
 * Whoever owns eventuate.record: the one to copy as.  Throws if the table that
 * came with the extension is not there.
 */
Oid
ev_copy_owner(void)
{
	Oid			relid = ev_own_table("record");
	Relation	record;
	Oid			owner;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"eventuate.record\" is not that of the extension")));
	record = table_open(relid, RowExclusiveLock);
	owner = record->rd_rel->relowner;
	table_close(record, NoLock);
	return owner;
}

/* The headers of a message as eventuate.record has them; NULL: none. */
static Jsonb *
headers_of(const EvMessage *message)
{
	StringInfoData text;
	char	   *server_text;

	if (message->header_count == 0)
		return NULL;
	initStringInfo(&text);
	ev_record_json_append_headers(&text, message);
	server_text = pg_any_to_server(text.data, text.len, PG_UTF8);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(server_text)));
}

/* So many bytes as a bytea; NULL as NULL. */
static bytea *
bytes_of(const char *data, size_t length)
{
	return data == NULL ? NULL : cstring_to_text_with_len(data, length);
}

/*
 * Writes a message into eventuate.record, with the rights of the current
 * user.  The caller has made sure that the transaction may write.
 */
void
ev_copy_record(const EvMessage *message)
{
	NullableDatum values[EV_RECORD_COLUMNS] = {0};

	values[EV_RECORD_TOPIC] = ev_record_varlena(cstring_to_text(message->topic));
	values[EV_RECORD_KEY] = ev_record_varlena(bytes_of(message->key, message->key_length));
	values[EV_RECORD_VALUE] = ev_record_varlena(bytes_of(message->value, message->value_length));
	values[EV_RECORD_HEADERS] = ev_record_varlena(headers_of(message));
	values[EV_RECORD_PARTITION].value = Int32GetDatum(message->partition);
	values[EV_RECORD_PARTITION].isnull = message->partition == EV_ANY_PARTITION;
	values[EV_RECORD_TIME].value = TimestampTzGetDatum(ev_time_of_epoch_ms(message->timestamp));
	values[EV_RECORD_TIME].isnull = message->timestamp == 0;
	(void) ev_insert_record(values);
}
