/*-------------------------------------------------------------------------
 *
 * letters.c
 *	  SQL functions that deal with dead letters.
 *
 * eventuate_retry() takes a letter out of eventuate.dead_letter and sends its
 * record again, as it is or mended, in the caller's transaction;
 * eventuate_discard() forgets it.  Both are SECURITY DEFINER with a fixed
 * search_path: who may call them is a matter of EXECUTE.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "argument.h"
#include "headers.h"
#include "message.h"
#include "own_table.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(eventuate_retry);
PG_FUNCTION_INFO_V1(eventuate_discard);

/* Columns that take_letter() returns. */
enum
{
	COLUMN_TOPIC,
	COLUMN_KEY,
	COLUMN_VALUE,
	COLUMN_HEADERS,
	COLUMN_PARTITION,
	COLUMN_TIME,
	COLUMN_IS_RECORD,
	COLUMN_COUNT
};

typedef struct Letter
{
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT];
} Letter;

/* Deletes the letter and returns it, in the caller's memory context. */
static void
take_letter(int64 id, Letter *letter)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(id)};
	EvCommand	command = {
		"DELETE FROM eventuate.dead_letter WHERE id = $1"
		" RETURNING topic, key, value, headers, partition, record_time, error IS NOT NULL",
		lengthof(types), types, values
	};
	TupleDesc	desc;

	SPI_connect();
	if (ev_own_execute(&command) != SPI_OK_DELETE_RETURNING)
		elog(ERROR, "could not delete from eventuate.dead_letter");
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dead letter %lld does not exist", (long long) id),
				 errhint("It may have been sent again or discarded already; see eventuate.dead_letter.")));
	desc = SPI_tuptable->tupdesc;
	for (int i = 0; i < COLUMN_COUNT; i++)
	{
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], desc, i + 1,
										  &letter->nulls[i]);

		letter->values[i] = letter->nulls[i] ? (Datum) 0 :
			SPI_datumTransfer(value, TupleDescAttr(desc, i)->attbyval,
							  TupleDescAttr(desc, i)->attlen);
	}
	SPI_finish();
}

/* What the caller gives takes the place of what the letter has. */
static void
mend(FunctionCallInfo fcinfo, int arg, Letter *letter, int column)
{
	if (PG_ARGISNULL(arg))
		return;
	letter->nulls[column] = false;
	letter->values[column] = column == COLUMN_KEY || column == COLUMN_VALUE ?
		PointerGetDatum(ev_argument_bytes(fcinfo, arg, EV_FORM_TEXT)) :
		PG_GETARG_DATUM(arg);
}

static EvField
letter_field(const char *name, Oid type, const Letter *letter, int column)
{
	EvField		field = {name, type, EV_FIELD_REQUIRED, letter->nulls[column],
	letter->values[column]};

	return field;
}

/* Checks the record as eventuate_produce() does. */
static void
check_letter(const Letter *letter)
{
	size_t		size = 0;

	if (letter->nulls[COLUMN_TOPIC])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the dead letter has no topic"),
				 errhint("Name one in the call.")));
	ev_check_topic(DatumGetTextPP(letter->values[COLUMN_TOPIC]), "topic");
	if (!letter->nulls[COLUMN_HEADERS])
		size += ev_headers_record_size(DatumGetJsonbP(letter->values[COLUMN_HEADERS]));
	if (!letter->nulls[COLUMN_KEY])
		size += ev_argument_size(DatumGetByteaPP(letter->values[COLUMN_KEY]));
	if (!letter->nulls[COLUMN_VALUE])
		size += ev_argument_size(DatumGetByteaPP(letter->values[COLUMN_VALUE]));
	ev_check_size(size);
}

static void
insert_letter(text *id, const Letter *letter)
{
	EvField		fields[9];

	ev_check_transaction("eventuate_retry()");
	fields[0] = ev_field_varlena("id", TEXTOID, id);
	fields[1] = letter_field("topic", TEXTOID, letter, COLUMN_TOPIC);
	fields[2] = letter_field("key", BYTEAOID, letter, COLUMN_KEY);
	fields[3] = letter_field("value", BYTEAOID, letter, COLUMN_VALUE);
	fields[4] = letter_field("headers", JSONBOID, letter, COLUMN_HEADERS);
	fields[5] = letter_field("partition", INT4OID, letter, COLUMN_PARTITION);
	fields[6] = letter_field("record_time", TIMESTAMPTZOID, letter, COLUMN_TIME);
	fields[7] = ev_field_creation_time();
	fields[8] = ev_field_txid();
	ev_insert_row(EV_TABLE_RECORD, fields, lengthof(fields));
	ev_shared_request_at_commit();
}

/*
 * eventuate_retry(dead_letter_id, topic, key, value, headers): sends a letter
 * again.  Its record is sent, envelope and all, through eventuate.record; with
 * another topic it may go to any partition.  Returns the id of that row.
 */
Datum
eventuate_retry(PG_FUNCTION_ARGS)
{
	Letter		letter;
	char		id[EV_ID_SIZE];
	text	   *id_text;

	ev_check_server("eventuate_retry()");
	ev_check_not_null(fcinfo, 0, "dead letter");
	take_letter(PG_GETARG_INT64(0), &letter);
	if (!DatumGetBool(letter.values[COLUMN_IS_RECORD]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("dead letter %lld is a row that never was a message",
						(long long) PG_GETARG_INT64(0)),
				 errhint("Send what it should have been, with eventuate_send() or eventuate_produce(), and call eventuate_discard().")));
	mend(fcinfo, 1, &letter, COLUMN_TOPIC);
	mend(fcinfo, 2, &letter, COLUMN_KEY);
	mend(fcinfo, 3, &letter, COLUMN_VALUE);
	mend(fcinfo, 4, &letter, COLUMN_HEADERS);
	letter.nulls[COLUMN_PARTITION] |= !PG_ARGISNULL(1);
	check_letter(&letter);

	ev_shared_next_id(id);
	id_text = cstring_to_text_with_len(id, EV_ID_LENGTH);
	insert_letter(id_text, &letter);
	PG_RETURN_TEXT_P(id_text);
}

/* eventuate_discard(dead_letter_id): forgets a letter. */
Datum
eventuate_discard(PG_FUNCTION_ARGS)
{
	Letter		letter;

	ev_check_not_null(fcinfo, 0, "dead letter");
	take_letter(PG_GETARG_INT64(0), &letter);
	PG_RETURN_VOID();
}
