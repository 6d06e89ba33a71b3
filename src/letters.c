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
#include "utils/jsonb.h"

#include "argument.h"
#include "headers.h"
#include "insert_record.h"
#include "own_table.h"
#include "shared_commit.h"

PG_FUNCTION_INFO_V1(eventuate_retry);
PG_FUNCTION_INFO_V1(eventuate_discard);

/* What take_letter() returns: a record, and whether it was one. */
enum
{
	LETTER_IS_RECORD = EV_RECORD_COLUMNS,
	LETTER_COLUMNS
};

typedef struct Letter
{
	NullableDatum values[LETTER_COLUMNS];
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
	for (int i = 0; i < LETTER_COLUMNS; i++)
	{
		NullableDatum *column = &letter->values[i];
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], desc, i + 1,
										  &column->isnull);

		column->value = column->isnull ? (Datum) 0 :
			SPI_datumTransfer(value, TupleDescAttr(desc, i)->attbyval,
							  TupleDescAttr(desc, i)->attlen);
	}
	SPI_finish();
}

/* What the caller gives takes the place of what the letter has. */
static void
mend(FunctionCallInfo fcinfo, int arg, Letter *letter, EvRecordColumn column)
{
	if (PG_ARGISNULL(arg))
		return;
	if (column == EV_RECORD_KEY || column == EV_RECORD_VALUE)
		letter->values[column] = ev_record_varlena(ev_argument_bytes(fcinfo, arg, EV_FORM_TEXT));
	else
		letter->values[column] = fcinfo->args[arg];
}

/* Checks the record as eventuate_produce() does. */
static void
check_letter(const Letter *letter)
{
	const NullableDatum *topic = &letter->values[EV_RECORD_TOPIC];
	const NullableDatum *key = &letter->values[EV_RECORD_KEY];
	const NullableDatum *value = &letter->values[EV_RECORD_VALUE];
	const NullableDatum *headers = &letter->values[EV_RECORD_HEADERS];
	size_t		size = 0;

	if (topic->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the dead letter has no topic"),
				 errhint("Name one in the call.")));
	ev_check_topic(DatumGetTextPP(topic->value), "topic");
	if (!headers->isnull)
		size += ev_headers_record_size(DatumGetJsonbP(headers->value));
	if (!key->isnull)
		size += ev_argument_size(DatumGetByteaPP(key->value));
	if (!value->isnull)
		size += ev_argument_size(DatumGetByteaPP(value->value));
	ev_check_size(size);
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
	text	   *id;

	ev_check_server("eventuate_retry()");
	ev_check_not_null(fcinfo, 0, "dead letter");
	take_letter(PG_GETARG_INT64(0), &letter);
	if (!DatumGetBool(letter.values[LETTER_IS_RECORD].value))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("dead letter %lld is a row that never was a message",
						(long long) PG_GETARG_INT64(0)),
				 errhint("Send what it should have been, with eventuate_send() or eventuate_produce(), and call eventuate_discard().")));
	mend(fcinfo, 1, &letter, EV_RECORD_TOPIC);
	mend(fcinfo, 2, &letter, EV_RECORD_KEY);
	mend(fcinfo, 3, &letter, EV_RECORD_VALUE);
	mend(fcinfo, 4, &letter, EV_RECORD_HEADERS);
	letter.values[EV_RECORD_PARTITION].isnull |= !PG_ARGISNULL(1);
	check_letter(&letter);

	ev_check_transaction("eventuate_retry()");
	id = ev_insert_record(letter.values);
	ev_shared_request_at_commit();
	PG_RETURN_TEXT_P(id);
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
