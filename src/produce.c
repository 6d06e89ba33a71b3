/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  eventuate_produce(): plain Kafka records.
 *
 * Each call checks its arguments and writes one row into eventuate.record,
 * inside the caller's transaction, as send.c does for messages.  Key and value
 * are stored as the bytes that Kafka gets.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "argument.h"
#include "eventuate.h"
#include "headers.h"
#include "insert_record.h"
#include "shared_commit.h"

PG_FUNCTION_INFO_V1(eventuate_produce);
PG_FUNCTION_INFO_V1(eventuate_produce_bytea);
PG_FUNCTION_INFO_V1(eventuate_produce_jsonb);
PG_FUNCTION_INFO_V1(eventuate_produce_key);
PG_FUNCTION_INFO_V1(eventuate_produce_bytea_key);
PG_FUNCTION_INFO_V1(eventuate_produce_jsonb_key);

/* Throws for a partition that cannot be; Kafka knows which there are. */
static void
check_partition(FunctionCallInfo fcinfo, int arg)
{
	if (!PG_ARGISNULL(arg) && PG_GETARG_INT32(arg) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition must not be negative"),
				 errdetail("The partition is %d.", PG_GETARG_INT32(arg)),
				 errhint("Leave it out to have it chosen by the key.")));
}

/* Kafka counts from 1970; 0 and less mean something else there. */
static void
check_record_time(FunctionCallInfo fcinfo, int arg)
{
	if (!PG_ARGISNULL(arg) &&
		(TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(arg)) ||
		 ev_epoch_ms(PG_GETARG_TIMESTAMPTZ(arg)) <= 0))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("record_time out of range"),
				 errdetail("Times of Kafka records are finite and after 1970-01-01 00:00:00 UTC.")));
}

/*
 * eventuate_produce() with value and key of the given forms.  Writes the row,
 * and has a publisher started if there is none.
 */
static Datum
produce_record(FunctionCallInfo fcinfo, EvForm value_form, EvForm key_form)
{
	static const char function[] = "eventuate_produce()";
	NullableDatum values[EV_RECORD_COLUMNS];
	text	   *id;
	bytea	   *key;
	bytea	   *value;
	size_t		header_size = 0;

	ev_check_server(function);
	ev_check_not_delayed(fcinfo, 6);
	ev_check_not_null(fcinfo, 0, "topic");
	ev_check_topic(PG_GETARG_TEXT_PP(0), "topic");
	if (!PG_ARGISNULL(3))
		header_size = ev_headers_record_size(PG_GETARG_JSONB_P(3));
	check_partition(fcinfo, 4);
	check_record_time(fcinfo, 5);
	value = ev_argument_bytes(fcinfo, 1, value_form);
	key = ev_argument_bytes(fcinfo, 2, key_form);
	ev_check_size(ev_argument_size(key) + ev_argument_size(value) + header_size);

	values[EV_RECORD_TOPIC] = ev_record_varlena(PG_GETARG_TEXT_PP(0));
	values[EV_RECORD_KEY] = ev_record_varlena(key);
	values[EV_RECORD_VALUE] = ev_record_varlena(value);
	values[EV_RECORD_HEADERS] = fcinfo->args[3];
	values[EV_RECORD_PARTITION] = fcinfo->args[4];
	values[EV_RECORD_TIME] = fcinfo->args[5];
	ev_check_transaction(function);
	id = ev_insert_record(values);
	ev_shared_request_at_commit();
	PG_RETURN_TEXT_P(id);
}

Datum
eventuate_produce(PG_FUNCTION_ARGS)
{
	return produce_record(fcinfo, EV_FORM_TEXT, EV_FORM_TEXT);
}

Datum
eventuate_produce_bytea(PG_FUNCTION_ARGS)
{
	return produce_record(fcinfo, EV_FORM_BYTES, EV_FORM_TEXT);
}

Datum
eventuate_produce_jsonb(PG_FUNCTION_ARGS)
{
	return produce_record(fcinfo, EV_FORM_JSONB, EV_FORM_TEXT);
}

Datum
eventuate_produce_key(PG_FUNCTION_ARGS)
{
	return produce_record(fcinfo, EV_FORM_TEXT, EV_FORM_BYTES);
}

Datum
eventuate_produce_bytea_key(PG_FUNCTION_ARGS)
{
	return produce_record(fcinfo, EV_FORM_BYTES, EV_FORM_BYTES);
}

Datum
eventuate_produce_jsonb_key(PG_FUNCTION_ARGS)
{
	return produce_record(fcinfo, EV_FORM_JSONB, EV_FORM_BYTES);
}
