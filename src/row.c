/*-------------------------------------------------------------------------
 *
 * row.c
 *	  How a row of an outbox becomes a message.
 *
 * The decoder reads rows out of WAL, recovery out of the table: both through
 * ev_row_read(), so that a message is the same whichever way it takes.
 * Reading a row touches no user table (TOASTed values of WAL come with it)
 * and throws for nothing that a row can hold: such a row is malformed.
 *
 * Nothing is kept from row to row, so a restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/xid8.h"

#include "header_text.h"
#include "message.h"
#include "row.h"

/* What is needed while one row is read. */
typedef struct RowReader
{
	const EvOutbox *outbox;
	Datum	   *values;
	bool	   *nulls;
	const char *reason;			/* why the row is malformed, once it is */
} RowReader;

static bool
is_null(const RowReader *reader, EvColumn column)
{
	AttrNumber	attnum = reader->outbox->columns[column];

	return attnum == 0 || reader->nulls[attnum - 1];
}

static Datum
column_value(const RowReader *reader, EvColumn column)
{
	return reader->values[reader->outbox->columns[column] - 1];
}

/*
 * Text of the database as UTF-8, NUL-terminated where it had to be converted.
 * NULL, with a reason, if it is not valid in the database's encoding.
 */
static const char *
to_utf8(RowReader *reader, const char *text, size_t length, size_t *utf8_length)
{
	int			encoding = GetDatabaseEncoding();
	unsigned char *utf8;
	size_t		size;
	Oid			proc;

	*utf8_length = length;
	if (encoding == PG_UTF8)
		return text;
	if (encoding == PG_SQL_ASCII)
	{
		if (pg_verify_mbstr(PG_UTF8, text, length, true))
			return text;
		reader->reason = "the row is not valid UTF-8";
		return NULL;
	}
	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	size = length * MAX_CONVERSION_GROWTH + 1;
	utf8 = MemoryContextAllocHuge(CurrentMemoryContext, size);
	if (!OidIsValid(proc) ||
		pg_do_encoding_conversion_buf(proc, encoding, PG_UTF8,
									  unconstify(unsigned char *, (const unsigned char *) text),
									  length, utf8, size, true) != length)
	{
		reader->reason = "the row cannot be converted to UTF-8";
		return NULL;
	}
	*utf8_length = strlen((char *) utf8);
	return (char *) utf8;
}

/* A column of a text type as UTF-8; NULL if it is null or not valid. */
static const char *
column_text(RowReader *reader, EvColumn column, size_t *length)
{
	Datum		value;

	*length = 0;
	if (is_null(reader, column))
		return NULL;
	value = column_value(reader, column);
	if (reader->outbox->types[column] == JSONBOID)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(value);
		char	   *text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));

		return to_utf8(reader, text, strlen(text), length);
	}
	else
	{
		text	   *varlena = DatumGetTextPP(value);

		return to_utf8(reader, VARDATA_ANY(varlena),
					   VARSIZE_ANY_EXHDR(varlena), length);
	}
}

/* The same, NUL-terminated. */
static const char *
column_cstring(RowReader *reader, EvColumn column)
{
	size_t		length;
	const char *text = column_text(reader, column, &length);

	return text == NULL ? NULL : pnstrdup(text, length);
}

static const char *
column_bytes(RowReader *reader, EvColumn column, size_t *length)
{
	bytea	   *bytes;

	*length = 0;
	if (is_null(reader, column))
		return NULL;
	bytes = DatumGetByteaPP(column_value(reader, column));
	*length = VARSIZE_ANY_EXHDR(bytes);
	return VARDATA_ANY(bytes);
}

/* Id and topic, which every format has. */
static bool
read_common(RowReader *reader, EvMessage *message)
{
	message->id = column_cstring(reader, EV_COLUMN_ID);
	if (reader->reason != NULL)
		return false;
	message->topic = column_cstring(reader, EV_COLUMN_TOPIC);
	if (reader->reason != NULL)
		return false;
	if (message->topic == NULL)
		reader->reason = "the topic is null";
	else
		reader->reason = ev_message_check_topic(message->topic,
												strlen(message->topic));
	return reader->reason == NULL;
}

/*
 * A row of Tram's table: key and value as the Eventuate CDC service makes
 * them.  The header ID counts, never the column.
 */
static bool
read_eventuate(RowReader *reader, EvMessage *message)
{
	StringInfoData value;
	StringInfoData scratch;
	EvHeaderText headers;
	const char *text;
	const char *payload;
	size_t		length;
	size_t		payload_length;

	payload = column_text(reader, EV_COLUMN_VALUE, &payload_length);
	if (payload == NULL)
	{
		if (reader->reason == NULL)
			reader->reason = "the payload is null";
		return false;
	}

	/* For whoever has to do with the row if it is malformed. */
	message->value = payload;
	message->value_length = payload_length;

	text = column_text(reader, EV_COLUMN_HEADERS, &length);
	if (text == NULL)
	{
		if (reader->reason == NULL)
			reader->reason = "the headers are null";
		return false;
	}
	initStringInfo(&scratch);
	reader->reason = ev_header_text_parse(text, length, &scratch, &headers);
	if (reader->reason == NULL && headers.id == NULL)
		reader->reason = "the headers have no ID";
	if (reader->reason != NULL)
		return false;
	if (ev_message_envelope_size(payload, payload_length,
								 headers.json_length) >= MaxAllocSize)
	{
		reader->reason = "the message is too large";
		return false;
	}
	initStringInfo(&value);
	ev_message_append_envelope(&value, payload, payload_length,
							   headers.json, headers.json_length);
	message->value = value.data;
	message->value_length = value.len;
	message->key = headers.partition_id ? headers.partition_id : headers.id;
	message->key_length = headers.partition_id ?
		headers.partition_id_length : headers.id_length;
	message->id = pnstrdup(headers.id, headers.id_length);
	message->partition = EV_ANY_PARTITION;
	return true;
}

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
		header->value = to_utf8(reader, json->val.string.val,
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
	const char *name = to_utf8(reader, json->val.string.val,
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

	if (is_null(reader, EV_COLUMN_HEADERS))
		return true;
	json = DatumGetJsonbP(column_value(reader, EV_COLUMN_HEADERS));
	if (JB_ROOT_IS_SCALAR(json))
	{
		reader->reason = "the headers are neither a JSON object nor an array";
		return false;
	}
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

static bool
read_record(RowReader *reader, EvMessage *message)
{
	message->key = column_bytes(reader, EV_COLUMN_KEY, &message->key_length);
	message->value = column_bytes(reader, EV_COLUMN_VALUE,
								  &message->value_length);
	message->partition = EV_ANY_PARTITION;
	if (!is_null(reader, EV_COLUMN_PARTITION))
		message->partition =
			DatumGetInt32(column_value(reader, EV_COLUMN_PARTITION));
	if (!is_null(reader, EV_COLUMN_PARTITION) && message->partition < 0)
	{
		reader->reason = "the partition is negative";
		return false;
	}
	if (!is_null(reader, EV_COLUMN_TIME))
		message->timestamp =
			ev_epoch_ms(DatumGetTimestampTz(column_value(reader,
														 EV_COLUMN_TIME)));
	return read_record_headers(reader, message);
}

static bool
is_published(const RowReader *reader)
{
	Datum		value;

	if (is_null(reader, EV_COLUMN_PUBLISHED))
		return false;
	value = column_value(reader, EV_COLUMN_PUBLISHED);
	return reader->outbox->types[EV_COLUMN_PUBLISHED] == INT2OID ?
		DatumGetInt16(value) != 0 : DatumGetInt32(value) != 0;
}

/*
 * Makes a message of a row.  Everything lives in the current memory context,
 * which the caller resets after use.
 */
EvRowKind
ev_row_read(const EvOutbox *outbox, Relation relation, HeapTuple tuple,
			EvRow *row)
{
	TupleDesc	desc = RelationGetDescr(relation);
	RowReader	reader = {outbox, NULL, NULL, outbox->problem};
	bool		fine = false;

	memset(row, 0, sizeof(EvRow));
	reader.values = palloc(sizeof(Datum) * desc->natts);
	reader.nulls = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(tuple, desc, reader.values, reader.nulls);

	if (reader.reason == NULL && is_published(&reader))
		return EV_ROW_PUBLISHED;
	if (reader.reason == NULL && !is_null(&reader, EV_COLUMN_TXID))
		row->txid = DatumGetFullTransactionId(column_value(&reader, EV_COLUMN_TXID));
	if (reader.reason == NULL && read_common(&reader, &row->message))
		fine = outbox->format == EV_FORMAT_RECORD ?
			read_record(&reader, &row->message) :
			read_eventuate(&reader, &row->message);
	if (fine)
		return EV_ROW_MESSAGE;

	Assert(reader.reason != NULL);
	row->reason = reader.reason;
	row->name = psprintf("row \"%s\" of table \"%s\"",
						 row->message.id ? row->message.id : "?",
						 RelationGetRelationName(relation));
	return EV_ROW_MALFORMED;
}
