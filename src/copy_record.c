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
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "argument.h"
#include "copy_record.h"
#include "insert.h"
#include "message.h"
#include "own_table.h"
#include "record_json.h"
#include "shared.h"

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

/*
 * Writes a message into eventuate.record, with the rights of the current
 * user.  The caller has made sure that the transaction may write.
 */
void
ev_copy_record(const EvMessage *message)
{
	StringInfoData headers;
	EvField		fields[9];
	char		id[EV_ID_SIZE];

	initStringInfo(&headers);
	ev_record_json_append_headers(&headers, message);
	ev_shared_next_id(id);
	fields[0] = ev_field_varlena("id", TEXTOID,
								 cstring_to_text_with_len(id, EV_ID_LENGTH));
	fields[1] = ev_field_varlena("topic", TEXTOID, cstring_to_text(message->topic));
	fields[2] = ev_field_varlena("key", BYTEAOID, message->key == NULL ? NULL :
								 cstring_to_text_with_len(message->key, message->key_length));
	fields[3] = ev_field_varlena("value", BYTEAOID, message->value == NULL ? NULL :
								 cstring_to_text_with_len(message->value, message->value_length));
	fields[4] = ev_field_varlena("headers", JSONBOID, message->header_count == 0 ? NULL :
								 DatumGetPointer(DirectFunctionCall1(jsonb_in,
																	 CStringGetDatum(pg_any_to_server(headers.data, headers.len, PG_UTF8)))));
	fields[5] = ev_field_varlena("partition", INT4OID, NULL);
	if (message->partition != EV_ANY_PARTITION)
	{
		fields[5].isnull = false;
		fields[5].value = Int32GetDatum(message->partition);
	}
	fields[6] = ev_field_varlena("record_time", TIMESTAMPTZOID, NULL);
	if (message->timestamp != 0)
	{
		fields[6].isnull = false;
		fields[6].value = TimestampTzGetDatum(ev_time_of_epoch_ms(message->timestamp));
	}
	fields[7] = ev_field_creation_time();
	fields[8] = ev_field_txid();
	ev_insert_row(EV_TABLE_RECORD, fields, lengthof(fields));
}
