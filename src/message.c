/*-------------------------------------------------------------------------
 *
 * message.c
 *	  What Eventuate Tram prescribes of a message: envelope, id, date.
 *
 * The envelope, which is the value of a record, is that of Tram's CDC
 * service, byte for byte: strings come from json.c, headers from
 * header_text.c.
 *
 * Promises: no function throws, but for running out of memory or past the
 * size of a StringInfo (1 GB), from which the caller is safe if it has
 * checked the size of the row.  There is no state, so a restart changes
 * nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "json.h"
#include "message.h"

#define ENVELOPE_START "{\"payload\":\""
#define ENVELOPE_MIDDLE "\",\"headers\":"
#define ENVELOPE_END "}"

/*
 * Append the value of a record: the payload as a JSON string, the headers as
 * the JSON that ev_header_text_parse returned.  Nothing is checked.  The
 * format is that of Eventuate's MessageWithDestination, as its CDC service
 * serialises it.
 */
void
ev_message_append_envelope(StringInfo out, const char *payload,
						   size_t payload_length, const char *headers,
						   size_t headers_length)
{
	size_t		rest = EV_LITERAL_LENGTH(ENVELOPE_MIDDLE) + headers_length +
	EV_LITERAL_LENGTH(ENVELOPE_END);
	char	   *end;

	appendBinaryStringInfo(out, ENVELOPE_START,
						   EV_LITERAL_LENGTH(ENVELOPE_START));
	ev_json_append_escaped(out, payload, payload_length);

	/* At once, since this is done for every message. */
	enlargeStringInfo(out, rest);
	end = out->data + out->len;
	memcpy(end, ENVELOPE_MIDDLE, EV_LITERAL_LENGTH(ENVELOPE_MIDDLE));
	end += EV_LITERAL_LENGTH(ENVELOPE_MIDDLE);
	memcpy(end, headers, headers_length);
	end += headers_length;
	memcpy(end, ENVELOPE_END, sizeof(ENVELOPE_END));
	out->len += rest;
}

/*
 * How many bytes ev_message_append_envelope would append.
 */
size_t
ev_message_envelope_size(const char *payload, size_t payload_length,
						 size_t headers_length)
{
	return EV_LITERAL_LENGTH(ENVELOPE_START) +
		ev_json_escaped_size(payload, payload_length) +
		EV_LITERAL_LENGTH(ENVELOPE_MIDDLE) + headers_length +
		EV_LITERAL_LENGTH(ENVELOPE_END);
}

/*
 * Check the name of a topic, by the rules of Kafka's own Topic.validate().
 * Returns NULL, or the reason why Kafka would refuse it.
 */
const char *
ev_message_check_topic(const char *topic, size_t length)
{
	size_t		i;

	if (length == 0)
		return "topic name is empty";
	if (length > EV_TOPIC_MAX_LENGTH)
		return "topic name is longer than "
			CppAsString2(EV_TOPIC_MAX_LENGTH) " bytes";
	if (topic[0] == '.' && (length == 1 || (length == 2 && topic[1] == '.')))
		return "topic name is \".\" or \"..\"";
	for (i = 0; i < length; i++)
	{
		char		c = topic[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
			return "topic name has characters outside [a-zA-Z0-9._-]";
	}
	return NULL;
}

/*
 * The stamp after "previous".  A stamp is milliseconds since 1970 in the upper
 * 48 bits and a counter in the lower 16; it rises even when the clock does
 * not, and a counter that is spent borrows the next millisecond.  Of a shared
 * "previous" the caller makes sure that no two get the same one.
 */
uint64
ev_message_next_stamp(uint64 previous, uint64 now_ms)
{
	Assert(now_ms < UINT64CONST(1) << 48);
	Assert(previous < PG_UINT64_MAX);
	return Max(now_ms << 16, previous + 1);
}

/*
 * Writes sixteen lower-case digits.
 */
static void
format_hex(char *to, uint64 value)
{
	int			i;

	for (i = 15; i >= 0; i--)
	{
		to[i] = "0123456789abcdef"[value & 0xF];
		value >>= 4;
	}
}

/*
 * Write the text form of Eventuate's Int128, EV_ID_SIZE bytes with the NUL.
 */
void
ev_message_format_int128(char *out, uint64 high, uint64 low)
{
	format_hex(out, high);
	out[16] = '-';
	format_hex(out + 17, low);
	out[EV_ID_LENGTH] = '\0';
}

/*
 * Write the id of a message, EV_ID_SIZE bytes with the NUL, in the form of
 * Eventuate's Int128.  node is the 48 bits that tell this server start from
 * any other.
 */
void
ev_message_format_id(char *out, uint64 stamp, uint64 node)
{
	Assert(node < UINT64CONST(1) << 48);
	ev_message_format_int128(out, stamp >> 16, node << 16 | (stamp & 0xFFFF));
}

/*
 * The date of a day counted from 1970-01-01 in the Gregorian calendar.
 */
static void
civil_date(int64 days, int64 *year, int *month, int *day)
{
	/* Years begin in March here, so that the leap day is the last one. */
	int64		since_0000 = days + 719468; /* 0000-03-01 */
	int64		era = since_0000 / 146097 - (since_0000 % 146097 < 0);
	int			day_of_era = since_0000 - era * 146097;
	int			year_of_era = (day_of_era - day_of_era / 1460 +
							   day_of_era / 36524 - day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era +
											year_of_era / 4 -
											year_of_era / 100);
	int			from_march = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = year_of_era + era * 400 + (*month <= 2);
}

/*
 * Write a time in milliseconds since 1970, rounded down to seconds, as the
 * header DATE has it: java.time's RFC_1123_DATE_TIME in GMT, where the day has
 * no leading zero.  out has EV_DATE_SIZE bytes, which is enough for any time;
 * years past 9999, which Java refuses to write, get the digits they need.
 */
void
ev_message_format_date(char *out, int64 epoch_ms)
{
	static const char *const weekdays[] =
	{"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char *const months[] =
	{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64		seconds = epoch_ms / 1000 - (epoch_ms % 1000 < 0);
	int64		days = seconds / 86400 - (seconds % 86400 < 0);
	int			second = seconds - days * 86400;
	int			weekday = days % 7;
	int64		year;
	int			month;
	int			day;

	civil_date(days, &year, &month, &day);
	snprintf(out, EV_DATE_SIZE, "%s, %d %s %04lld %02d:%02d:%02d GMT",
			 weekdays[weekday < 0 ? weekday + 7 : weekday], day,
			 months[month - 1], (long long) year,
			 second / 3600, second / 60 % 60, second % 60);
}
