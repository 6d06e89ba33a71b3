/*-------------------------------------------------------------------------
 *
 * row_raw.c
 *	  A row whose columns are the parts of a plain Kafka record.
 *
 * eventuate.record is such a table, and any other that is attached as raw.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "row_reader.h"

/* A header's value from JSON: a string or null; true if it is either. */
static bool
header_value(RowReader *reader, const JsonbValue *json, bool base64,
			 EvHeader *header)
{
	int			size;
	char	   *bytes;
	int			length;

	header->value = NULL;
	header->value_length = 0;
	if (json->type == jbvNull && !base64)
		return true;
	if (json->type != jbvString)
		return false;
	if (!base64)
	{
		header->value = ev_row_to_utf8(reader, json->val.string.val,
									   json->val.string.len, &header->value_length);
		return header->value != NULL;
	}
	size = pg_b64_dec_len(json->val.string.len);
	bytes = palloc(size + 1);
	length = pg_b64_decode(json->val.string.val, json->val.string.len,
						   (void *) bytes, size);
	header->value = bytes;
	header->value_length = length < 0 ? 0 : length;
	return length >= 0;
}

static bool
header_name(RowReader *reader, const JsonbValue *json, EvHeader *header)
{
	size_t		length;
	const char *name = ev_row_to_utf8(reader, json->val.string.val,
									  json->val.string.len, &length);

	if (name == NULL)
		return false;
	header->name = pnstrdup(name, length);
	return true;
}

/* One element of the array form: {"key": .., "value": ..} or base64. */
static bool
read_array_header(RowReader *reader, const JsonbValue *element, EvHeader *header)
{
	JsonbValue	name;
	JsonbValue	value;
	JsonbContainer *object;

	if (element->type != jbvBinary ||
		!JsonContainerIsObject(element->val.binary.data))
		return false;
	object = element->val.binary.data;
	if (getKeyJsonValueFromContainer(object, "key", 3, &name) == NULL ||
		name.type != jbvString || !header_name(reader, &name, header))
		return false;
	if (getKeyJsonValueFromContainer(object, "base64", 6, &value) != NULL)
		return header_value(reader, &value, true, header);
	return getKeyJsonValueFromContainer(object, "value", 5, &value) != NULL &&
		header_value(reader, &value, false, header);
}

/*
 * Parses json, which may hold what jsonb refuses (\u0000, half of a surrogate
 * pair, in SQL_ASCII any escape that is not ASCII: before 16 as not supported).
 * NULL, with a reason, for such; only memory was touched then.
 */
static Jsonb *
parse_json(RowReader *reader, char *json)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile result = NULL;

	PG_TRY();
	{
		result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	}
	PG_CATCH();
	{
		ErrorData  *error;
		int			category;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
		if (category != ERRCODE_DATA_EXCEPTION &&
			category != ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
			error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
			PG_RE_THROW();
		FlushErrorState();
		reader->reason = "the headers hold what jsonb cannot";
	}
	PG_END_TRY();
	return result;
}

/* The column as jsonb; NULL, with a reason, if it cannot be. */
static Jsonb *
headers_json(RowReader *reader)
{
	Datum		value = ev_row_value(reader, EV_COLUMN_HEADERS);

	if (reader->outbox->types[EV_COLUMN_HEADERS] == JSONOID)
		return parse_json(reader, TextDatumGetCString(value));
	return DatumGetJsonbP(value);
}

/*
 * The headers of a plain record: an object of strings, or an array where
 * names may come twice and values may be null or bytes.
 */
static bool
read_record_headers(RowReader *reader, EvMessage *message)
{
	Jsonb	   *json;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	EvHeader   *headers;
	int			count = 0;
	bool		fine = true;

	if (ev_row_is_null(reader, EV_COLUMN_HEADERS))
		return true;
	json = headers_json(reader);
	if (json == NULL)
		return false;
	if (JB_ROOT_IS_SCALAR(json))
		reader->reason = "the headers are neither a JSON object nor an array";
	else if (JB_ROOT_COUNT(json) > EV_MAX_HEADERS)
		reader->reason = "there are too many headers";
	if (reader->reason != NULL)
		return false;
	headers = palloc0(sizeof(EvHeader) * Max(JB_ROOT_COUNT(json), 1));
	iterator = JsonbIteratorInit(&json->root);
	while (fine &&
		   (token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			fine = header_name(reader, &value, &headers[count]);
		else if (token == WJB_VALUE)
			fine = header_value(reader, &value, false, &headers[count]);
		else if (token == WJB_ELEM)
			fine = read_array_header(reader, &value, &headers[count]);

		/* Of a malformed row the headers before the bad one are kept. */
		if (fine && (token == WJB_VALUE || token == WJB_ELEM))
			count++;
	}
	if (!fine && reader->reason == NULL)
		reader->reason = "a header is neither a string nor {\"key\", \"value\"} nor {\"key\", \"base64\"}";
	message->headers = headers;
	message->header_count = count;
	return fine;
}

/* A row whose columns are the parts of a record. */
bool
ev_row_read_raw(RowReader *reader, EvMessage *message)
{
	message->key = ev_row_bytes(reader, EV_COLUMN_KEY, &message->key_length);
	message->value = ev_row_bytes(reader, EV_COLUMN_VALUE,
								  &message->value_length);
	return reader->reason == NULL && read_record_headers(reader, message);
}
