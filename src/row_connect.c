/*-------------------------------------------------------------------------
 *
 * row_connect.c
 *	  Values of a row as Debezium and Kafka Connect write them as text.
 *
 * That is: as Debezium's connector represents a column with its default
 * settings, and as SimpleHeaderConverter and StringConverter write that.  For
 * most types it is PostgreSQL's text; times are numbers or Java's, bytes are
 * base64, true is "true".
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "row_reader.h"

/* Java's BigDecimal has no exponent down to this one. */
#define MIN_PLAIN_EXPONENT (-6)

static char *
print_bytes(Datum value)
{
	bytea	   *bytes = DatumGetByteaPP(value);
	int			size = pg_b64_enc_len(VARSIZE_ANY_EXHDR(bytes));
	char	   *text = palloc(size + 1);
	int			length = pg_b64_encode((void *) VARDATA_ANY(bytes),
									   VARSIZE_ANY_EXHDR(bytes), text, size);

	text[length] = '\0';
	return text;
}

/* Microseconds since 1970, or milliseconds where these are enough. */
static char *
print_timestamp(Timestamp timestamp, int32 typmod)
{
	int64		epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	return psprintf(INT64_FORMAT, typmod >= 0 && typmod <= 3 ?
					ev_epoch_ms(timestamp) : timestamp + epoch);
}

/* As ISO 8601 has it, in UTC, with all digits that the column keeps. */
static char *
print_timestamptz(TimestampTz timestamp, int32 typmod)
{
	int			digits = typmod >= 0 ? typmod : MAX_TIMESTAMP_PRECISION;
	struct pg_tm tm;
	fsec_t		fraction;
	char	   *text;

	if (timestamp2tm(timestamp, NULL, &tm, &fraction, NULL, NULL) != 0)
		return NULL;
	text = psprintf("%s%04d-%02d-%02dT%02d:%02d:%02d",
					tm.tm_year > 9999 ? "+" : tm.tm_year < 0 ? "-" : "",
					abs(tm.tm_year), tm.tm_mon, tm.tm_mday,
					tm.tm_hour, tm.tm_min, tm.tm_sec);
	return digits == 0 ? psprintf("%sZ", text) :
		psprintf("%s.%.*sZ", text, digits, psprintf("%06d", fraction));
}

/* As BigDecimal.toString(), of the scale that PostgreSQL's text has. */
static char *
print_numeric(Datum value)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	char	   *point = strchr(text, '.');
	int			scale = point ? strlen(point + 1) : 0;
	bool		minus = text[0] == '-';
	char	   *digits;
	int			exponent;

	if (scale == 0)
		return text;
	digits = point + 1;
	if (strspn(text + minus, "0.") < point - text - minus)
		return text;
	while (digits[0] == '0' && digits[1] != '\0')
		digits++;
	exponent = (int) strlen(digits) - 1 - scale;
	if (exponent >= MIN_PLAIN_EXPONENT)
		return text;
	return psprintf("%s%c%s%sE%d", minus ? "-" : "", digits[0],
					digits[1] != '\0' ? "." : "", digits + 1, exponent);
}

/* The types that do not look as in PostgreSQL; NULL: no such value there. */
static const char *
print_otherwise(Datum value, Oid type, int32 typmod)
{
	switch (type)
	{
		case BOOLOID:
			return DatumGetBool(value) ? "true" : "false";
		case BYTEAOID:
			return print_bytes(value);
		case DATEOID:
			return DATE_NOT_FINITE(DatumGetDateADT(value)) ? NULL :
				psprintf("%d", DatumGetDateADT(value) +
						 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE));
		case TIMESTAMPOID:
			return TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)) ? NULL :
				print_timestamp(DatumGetTimestamp(value), typmod);
		case TIMESTAMPTZOID:
			return TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)) ? NULL :
				print_timestamptz(DatumGetTimestampTz(value), typmod);
		case NUMERICOID:
			return numeric_is_nan(DatumGetNumeric(value)) ||
				numeric_is_inf(DatumGetNumeric(value)) ? NULL :
				print_numeric(value);
	}
	return NULL;
}

static bool
looks_otherwise(Oid type)
{
	return type == BOOLOID || type == BYTEAOID || type == DATEOID ||
		type == TIMESTAMPOID || type == TIMESTAMPTZOID || type == NUMERICOID;
}

/* Can a type be written without looking it up in the catalogs? */
bool
ev_row_connects_without_catalogs(Oid type)
{
	return looks_otherwise(type) || ev_row_prints_without_catalogs(type);
}

/*
 * A value as UTF-8 text, not NUL-terminated.  NULL, with a reason, for what
 * Debezium has no form for or what is not valid in the database's encoding.
 */
const char *
ev_row_connect_text(RowReader *reader, Datum value, Oid type, int32 typmod,
					size_t *length)
{
	const char *text;

	if (!looks_otherwise(type))
		return ev_row_print(reader, value, type, length);
	text = print_otherwise(value, type, typmod);
	if (text == NULL)
		reader->reason = "a value is infinite or no number";
	*length = text ? strlen(text) : 0;
	return text;
}
