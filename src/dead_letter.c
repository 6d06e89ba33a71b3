/*-------------------------------------------------------------------------
 *
 * dead_letter.c
 *	  What Kafka will never take, kept where SQL can read it.
 *
 * A dead letter is a row of eventuate.dead_letter.  It is committed, and on
 * disk, before the slot is confirmed past its message: a crash between the
 * two meets the row again by position and stores no second one.
 * What SQL does with letters is in letters.c.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "dead_letter.h"
#include "encoding.h"
#include "own_table.h"
#include "record_json.h"

/*
 * A letter of more bytes than this is stored without what makes it large: a
 * row, and the jsonb of its headers, have limits of their own.
 */
#define MAX_LETTER_SIZE (200 * 1024 * 1024)
#define MAX_HEADERS_SIZE (100 * 1024 * 1024)	/* six times that as JSON */

/* Ids and topics of such a letter are kept up to this many bytes. */
#define MAX_NAME_SIZE 1000

/* Parameters of the INSERT, in order. */
enum
{
	PARAM_MESSAGE_ID,
	PARAM_TOPIC,
	PARAM_KEY,
	PARAM_VALUE,
	PARAM_HEADERS,
	PARAM_PARTITION,
	PARAM_TIME,
	PARAM_REASON,
	PARAM_ERROR,
	PARAM_ATTEMPTS,
	PARAM_LSN,
	PARAM_POSITION,
	PARAM_COMMIT_TIME,
	PARAM_COUNT
};

static const Oid param_types[PARAM_COUNT] = {
	TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, JSONBOID, INT4OID, TIMESTAMPTZOID,
	TEXTOID, TEXTOID, INT4OID, PG_LSNOID, INT8OID, TIMESTAMPTZOID
};

static const char insert_command[] =
"INSERT INTO eventuate.dead_letter (message_id, topic, key, value, headers,"
" partition, record_time, reason, error, attempts, lsn, sequence_number, commit_time)"
" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
" ON CONFLICT (lsn, sequence_number) DO NOTHING";

static void
set_param(Datum *values, char *nulls, int param, Datum value, bool null)
{
	values[param] = value;
	nulls[param] = null ? 'n' : ' ';
}

/* UTF-8 of ours as text of the database. */
static char *
to_server(const char *utf8, size_t length)
{
	StringInfoData out;

	initStringInfo(&out);
	ev_encoding_append(&out, utf8, length);
	return out.data;
}

static void
set_text(Datum *values, char *nulls, int param, const char *utf8)
{
	set_param(values, nulls, param, utf8 == NULL ? (Datum) 0 :
			  CStringGetTextDatum(to_server(utf8, strlen(utf8))),
			  utf8 == NULL);
}

static void
set_bytes(Datum *values, char *nulls, int param, const char *bytes,
		  size_t length)
{
	set_param(values, nulls, param, bytes == NULL ? (Datum) 0 :
			  PointerGetDatum(cstring_to_text_with_len(bytes, length)),
			  bytes == NULL);
}

/* Headers in the array form that eventuate_produce() takes. */
static void
set_headers(Datum *values, char *nulls, const EvMessage *message)
{
	StringInfoData json;

	initStringInfo(&json);
	ev_record_json_append_headers(&json, message);
	set_param(values, nulls, PARAM_HEADERS, message->header_count == 0 ? (Datum) 0 :
			  DirectFunctionCall1(jsonb_in, CStringGetDatum(to_server(json.data, json.len))),
			  message->header_count == 0);
}

/* Letters are stored from here on.  Not from a decoding callback. */
void
ev_dead_letter_begin(void)
{
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* What was stored since ev_dead_letter_begin() is now durable. */
void
ev_dead_letter_commit(void)
{
	PopActiveSnapshot();
	SPI_finish();
	ForceSyncCommit();
	CommitTransactionCommand();
}

/* The text, unless it is one of those that make a letter large. */
static const char *
unless_large(const char *text)
{
	return text != NULL && strlen(text) <= MAX_NAME_SIZE ? text : NULL;
}

/*
 * What can be stored of a message: all of it, or what is not large.  Without
 * its value it cannot be sent again, so it is no record of Kafka's any more.
 */
EvSpooled
ev_dead_letter_storable(const EvSpooled *refused)
{
	EvSpooled	result = *refused;
	size_t		size = ev_spool_message_size(&refused->message);

	if (size <= MAX_LETTER_SIZE &&
		ev_spool_headers_size(&refused->message) <= MAX_HEADERS_SIZE)
		return result;
	result.message.id = unless_large(refused->message.id);
	result.message.topic = unless_large(refused->message.topic);
	result.message.key = NULL;
	result.message.value = NULL;
	result.message.header_count = 0;
	result.error = psprintf("%s (%zu bytes, too many for a dead letter)",
							refused->error, size);
	result.error_name = NULL;
	return result;
}

/*
 * Stores a dead letter that is storable, between the two.  "position" is that
 * of the message in its transaction.
 */
void
ev_dead_letter_store(const EvSpooled *refused, const EvOrigin *origin,
					 int64 position, int attempts)
{
	const EvMessage *message = &refused->message;
	Datum		values[PARAM_COUNT];
	char		nulls[PARAM_COUNT];
	EvCommand	command = {insert_command, PARAM_COUNT, param_types, values, nulls};
	bool		recovered = XLogRecPtrIsInvalid(origin->end_lsn);

	set_text(values, nulls, PARAM_MESSAGE_ID, message->id);
	set_text(values, nulls, PARAM_TOPIC, message->topic);
	set_bytes(values, nulls, PARAM_KEY, message->key, message->key_length);
	set_bytes(values, nulls, PARAM_VALUE, message->value, message->value_length);
	set_headers(values, nulls, message);
	set_param(values, nulls, PARAM_PARTITION, Int32GetDatum(message->partition),
			  message->partition == EV_ANY_PARTITION);
	set_param(values, nulls, PARAM_TIME,
			  TimestampTzGetDatum(ev_time_of_epoch_ms(message->timestamp)),
			  message->timestamp == 0);
	set_text(values, nulls, PARAM_REASON, refused->error);
	set_text(values, nulls, PARAM_ERROR, refused->error_name);
	set_param(values, nulls, PARAM_ATTEMPTS, Int32GetDatum(attempts), false);
	set_param(values, nulls, PARAM_LSN, LSNGetDatum(origin->end_lsn), recovered);
	set_param(values, nulls, PARAM_POSITION, Int64GetDatum(position), recovered);
	set_param(values, nulls, PARAM_COMMIT_TIME,
			  TimestampTzGetDatum(origin->commit_time), recovered);
	if (ev_own_execute(&command) != SPI_OK_INSERT)
		elog(ERROR, "could not store a dead letter");
}
