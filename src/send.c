/*-------------------------------------------------------------------------
 *
 * send.c
 *	  eventuate_send(): messages of Eventuate Tram.
 *
 * Each call checks its arguments and writes one row into eventuate.message,
 * inside the caller's transaction: no network, no lock shared with the
 * publisher.  What only Kafka knows (does the topic exist?) is not asked.
 *
 * Promises: the row is one that Eventuate's own CDC service could publish.
 * The functions are open to everybody; the right to send is INSERT on the
 * table, with its policies.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "argument.h"
#include "headers.h"
#include "insert.h"
#include "message.h"
#include "send.h"
#include "shared.h"
#include "shared_commit.h"
#include "shared_id.h"

PG_FUNCTION_INFO_V1(eventuate_send);
PG_FUNCTION_INFO_V1(eventuate_send_jsonb);
PG_FUNCTION_INFO_V1(next_id);

/* The time as header DATE has it; written anew once a second. */
static const char *
current_date(void)
{
	static char date[EV_DATE_SIZE];
	static int64 written = -1;
	int64		now = ev_epoch_ms(GetCurrentTimestamp());

	if (now / 1000 != written)
		ev_message_format_date(date, now);
	written = now / 1000;
	return date;
}

/* The headers that every message has, behind those that are there already. */
static text *
finish_headers(StringInfo headers, const text *channel, const char *id)
{
	const char *date = current_date();

	ev_headers_append(headers, EV_HEADER_DATE, date, strlen(date));
	ev_headers_append_text(headers, EV_HEADER_DESTINATION, channel);
	ev_headers_append(headers, EV_HEADER_ID, id, EV_ID_LENGTH);
	appendStringInfoChar(headers, '}');
	return cstring_to_text_with_len(headers->data, headers->len);
}

/* Throws if the record would be too large; what counts is its UTF-8. */
static void
check_message_size(text *key, text *payload, text *headers)
{
	size_t		key_size = EV_ID_LENGTH;

	if (key != NULL)
		key_size = ev_argument_size(ev_argument_utf8(key));
	payload = ev_argument_utf8(payload);
	headers = ev_argument_utf8(headers);
	ev_check_size(key_size +
				  ev_message_envelope_size(VARDATA_ANY(payload),
										   ev_argument_size(payload),
										   ev_argument_size(headers)));
}

/* Writes the row, and has a publisher started if there is none. */
static void
insert_message(const char *function, text *id, text *channel, text *headers,
			   text *payload)
{
	EvField		fields[8];

	ev_check_transaction(function);
	fields[0] = ev_field_varlena("id", TEXTOID, id);
	fields[1] = ev_field_varlena("destination", TEXTOID, channel);
	fields[2] = ev_field_varlena("headers", TEXTOID, headers);
	fields[3] = ev_field_varlena("payload", TEXTOID, payload);
	fields[4] = ev_field_optional("published", INT2OID, Int16GetDatum(0));
	fields[5] = ev_field_creation_time();
	fields[6] = ev_field_txid();
	fields[7] = (EvField)
	{
		"message_partition", INT2OID, EV_FIELD_DEFAULT, true
	};
	ev_insert_row(EV_TABLE_MESSAGE, fields, lengthof(fields));
	ev_shared_request_at_commit();
}

/*
 * Sends a message, for the SQL function of the given name: arguments are
 * checked, headers are begun and not closed, key is their PARTITION_ID or
 * NULL.  Returns the id.  Throws whatever an INSERT of the caller's would.
 */
text *
ev_send_message(const char *function, text *channel, text *key,
				StringInfo headers, text *payload)
{
	char		id[EV_ID_SIZE];
	text	   *id_text;
	text	   *all_headers;

	ev_shared_next_id(id);
	id_text = cstring_to_text_with_len(id, EV_ID_LENGTH);
	all_headers = finish_headers(headers, channel, id);
	check_message_size(key, payload, all_headers);
	insert_message(function, id_text, channel, all_headers, payload);
	return id_text;
}

/* eventuate_send() with a payload of the given form. */
static Datum
send_message(FunctionCallInfo fcinfo, EvForm form)
{
	static const EvHeaderRules rules = {"eventuate_send()"};
	text	   *channel;
	text	   *payload;
	text	   *key;
	StringInfoData headers;

	ev_check_server(rules.function);
	ev_check_not_delayed(fcinfo, 4);
	ev_check_not_null(fcinfo, 0, "channel");
	ev_check_not_null(fcinfo, 1, "payload");
	channel = PG_GETARG_TEXT_PP(0);
	ev_check_topic(channel, "channel");
	payload = ev_argument_text(fcinfo, 1, form);
	key = ev_argument_text(fcinfo, 2, EV_FORM_TEXT);
	ev_headers_begin(&headers, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3),
					 &rules, &key);
	PG_RETURN_TEXT_P(ev_send_message(rules.function, channel, key, &headers,
									 payload));
}

Datum
eventuate_send(PG_FUNCTION_ARGS)
{
	return send_message(fcinfo, EV_FORM_TEXT);
}

Datum
eventuate_send_jsonb(PG_FUNCTION_ARGS)
{
	return send_message(fcinfo, EV_FORM_JSONB);
}

/* An id like those of messages; the default of eventuate.record.id. */
Datum
next_id(PG_FUNCTION_ARGS)
{
	char		id[EV_ID_SIZE];

	ev_shared_require("eventuate.next_id()");
	ev_shared_next_id(id);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(id, EV_ID_LENGTH));
}
