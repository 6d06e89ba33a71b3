/*-------------------------------------------------------------------------
 *
 * row_value.c
 *	  The values of a row: text, bytes, numbers, times.
 *
 * Text comes out as UTF-8, whatever the database's encoding.  What is not of a
 * text type is written by PostgreSQL's own functions.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "row_reader.h"

/*
 * Text of the database as UTF-8, NUL-terminated where it had to be converted.
 * NULL, with a reason, if it is not valid in the database's encoding.
 */
const char *
ev_row_to_utf8(RowReader *reader, const char *text, size_t length, size_t *utf8_length)
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
	/* Copies of what it becomes are to fit in memory as well. */
	if (length > (MaxAllocSize - 1) / MAX_CONVERSION_GROWTH)
	{
		reader->reason = "the row is too large";
		return NULL;
	}
	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	size = length * MAX_CONVERSION_GROWTH + 1;
	utf8 = palloc(size);
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

/* The function that writes a type as text, of those that are often ids. */
static PGFunction
output_function(Oid type)
{
	switch (type)
	{
		case UUIDOID:
			return uuid_out;
		case INT2OID:
			return int2out;
		case INT4OID:
			return int4out;
		case INT8OID:
			return int8out;
		default:
			return NULL;
	}
}

static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
		type == JSONOID;
}

/* Can ev_row_print() write a type without looking it up in the catalogs? */
bool
ev_row_prints_without_catalogs(Oid type)
{
	return is_text(type) || type == JSONBOID || output_function(type) != NULL;
}

/* A value as PostgreSQL writes it. */
static char *
print_value(Datum value, Oid type)
{
	Oid			output;
	bool		is_varlena;

	if (type == JSONBOID)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(value);

		return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	}
	if (output_function(type) != NULL)
		return DatumGetCString(DirectFunctionCall1(output_function(type), value));
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/*
 * Any value as UTF-8 text, not NUL-terminated.  NULL, with a reason, if it is
 * not valid in the database's encoding.
 */
const char *
ev_row_print(RowReader *reader, Datum value, Oid type, size_t *length)
{
	char	   *text;

	if (is_text(type))
	{
		struct varlena *varlena = PG_DETOAST_DATUM_PACKED(value);

		return ev_row_to_utf8(reader, VARDATA_ANY(varlena),
							  VARSIZE_ANY_EXHDR(varlena), length);
	}
	text = print_value(value, type);
	return ev_row_to_utf8(reader, text, strlen(text), length);
}

/* A column as UTF-8 text; NULL if it is null or not valid. */
const char *
ev_row_text(RowReader *reader, EvColumn column, size_t *length)
{
	*length = 0;
	if (ev_row_is_null(reader, column))
		return NULL;
	return ev_row_print(reader, ev_row_value(reader, column),
						reader->outbox->types[column], length);
}

/* Text of a row, which has no NUL in it, with one behind it. */
char *
ev_row_copy(const char *text, size_t length)
{
	char	   *copy = palloc(length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

/* A column as UTF-8 text, NUL-terminated. */
char *
ev_row_cstring(RowReader *reader, EvColumn column)
{
	size_t		length;
	const char *text = ev_row_text(reader, column, &length);

	return text == NULL ? NULL : ev_row_copy(text, length);
}

/* A column's bytes, of what is not bytea those of its text; or NULL. */
const char *
ev_row_bytes(RowReader *reader, EvColumn column, size_t *length)
{
	bytea	   *bytes;

	if (ev_row_is_null(reader, column) ||
		reader->outbox->types[column] != BYTEAOID)
		return ev_row_text(reader, column, length);
	bytes = DatumGetByteaPP(ev_row_value(reader, column));
	*length = VARSIZE_ANY_EXHDR(bytes);
	return VARDATA_ANY(bytes);
}

/* A column of an integer type that is not null. */
int64
ev_row_integer(const RowReader *reader, EvColumn column)
{
	return ev_outbox_integer(reader->outbox, column, ev_row_value(reader, column));
}

/*
 * A column that holds a time and is not null, in ms since 1970; 0, with a
 * reason, if Kafka has no such time.
 */
int64
ev_row_epoch_ms(RowReader *reader, EvColumn column)
{
	Datum		value = ev_row_value(reader, column);
	int64		ms = -1;

	/* Those with a time zone and those without are the same bits. */
	if (reader->outbox->types[column] == INT8OID)
		ms = DatumGetInt64(value);
	else if (!TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
		ms = ev_epoch_ms(DatumGetTimestampTz(value));
	if (ms >= 0)
		return ms;
	reader->reason = "the timestamp is infinite or before 1970";
	return 0;
}
