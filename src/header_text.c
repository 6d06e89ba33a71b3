/*-------------------------------------------------------------------------
 *
 * header_text.c
 *	  The headers column of a row of Tram's: JSON in, canonical JSON out.
 *
 * Nearly every row holds headers that Jackson has written: those are
 * recognised and go into the record as they are.  Anything else is parsed and
 * written afresh, as the CDC service would write it.
 *
 * Promises: the output is byte for byte Jackson's; nothing is read outside
 * the text passed in, whatever it holds; no function throws, but for running
 * out of memory or past the size of a StringInfo (1 GB), from which the
 * caller is safe if it has checked the size of the row.  There is no state,
 * so a restart changes nothing.
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

#include "header_text.h"
#include "json.h"
#include "message.h"

/* Rows of more names than this are checked for duplicates by sorting. */
#define MAX_FAST_NAMES 64

/* How much of a header's name goes into a reason, in bytes. */
#define MAX_SHOWN_NAME 64

/* value.data == NULL stands for JSON's null. */
typedef struct Header
{
	EvSlice		name;
	EvSlice		value;
} Header;

/* Headers that need work: all text is unescaped, in Parser.text. */
typedef struct Parser
{
	const char *at;
	const char *end;
	char	   *text;			/* as long as the input: text never grows */
	size_t		used;			/* of text */
	Header	   *headers;
	size_t		count;
	size_t		capacity;
	StringInfo	scratch;		/* for a reason that holds a name */
} Parser;

static const char *const reasons[] = {
	[EV_JSON_INVALID] = "headers are not valid JSON",
	[EV_JSON_SURROGATE] = "headers hold an unpaired surrogate",
	[EV_JSON_NUL] = "headers hold a NUL character"
};

static inline bool
slice_equals(const EvSlice *slice, const char *data, size_t length)
{
	return slice->length == length && memcmp(slice->data, data, length) == 0;
}

/*
 * Recognises headers that Jackson could have written, which is what nearly
 * every row holds: then they go into the record as they are.  The slices are
 * those of the values of ID and PARTITION_ID, not unescaped; their data must
 * be NULL before.
 *
 * Equal names have equal canonical text, so comparing that finds duplicates.
 * It is quadratic, hence the limit.
 */
static bool
scan_canonical(const char *text, size_t length, EvSlice *id,
			   EvSlice *partition_id)
{
	const char *at = text + 1;
	const char *end = text + length;
	EvSlice		names[MAX_FAST_NAMES];
	int			count;

	if (length < 2 || *text != '{')
		return false;
	if (*at == '}')
		return length == 2;
	for (count = 0; count < MAX_FAST_NAMES; count++)
	{
		EvSlice    *name = &names[count];
		EvSlice		value;
		int			i;

		if (!ev_json_scan_string(&at, end, name) || at == end || *at++ != ':' ||
			!ev_json_scan_string(&at, end, &value) || at == end)
			return false;
		for (i = 0; i < count; i++)
		{
			if (slice_equals(&names[i], name->data, name->length))
				return false;
		}
		if (slice_equals(name, EV_HEADER_ID, EV_LITERAL_LENGTH(EV_HEADER_ID)))
			*id = value;
		else if (slice_equals(name, EV_HEADER_PARTITION_ID,
							  EV_LITERAL_LENGTH(EV_HEADER_PARTITION_ID)))
			*partition_id = value;
		if (*at == '}')
			return at + 1 == end;
		if (*at++ != ',')
			return false;
	}
	return false;
}

/*
 * Reads any JSON string into parser->text, unescaped.  Returns a reason, or
 * NULL.
 */
static const char *
read_string(Parser *parser, EvSlice *slice)
{
	char	   *to = parser->text + parser->used;
	EvJsonError error = ev_json_read_string(&parser->at, parser->end, to,
											&slice->length);

	if (error != EV_JSON_FINE)
		return reasons[error];
	slice->data = to;
	parser->used += slice->length;
	return NULL;
}

static void
skip_space(Parser *parser)
{
	while (parser->at < parser->end &&
		   (*parser->at == ' ' || *parser->at == '\t' ||
			*parser->at == '\n' || *parser->at == '\r'))
		parser->at++;
}

/*
 * Skips white space and then c, if that is what follows.
 */
static bool
take(Parser *parser, char c)
{
	skip_space(parser);
	if (parser->at == parser->end || *parser->at != c)
		return false;
	parser->at++;
	return true;
}

/*
 * Says in scratch which header it is whose value is not a string.  A long
 * name is cut, at the start of a character.
 */
static const char *
not_a_string(StringInfo scratch, const EvSlice *name)
{
	size_t		length = name->length;

	if (length > MAX_SHOWN_NAME)
	{
		length = MAX_SHOWN_NAME;
		while (length > 0 &&
			   ((unsigned char) name->data[length] & 0xC0) == 0x80)
			length--;
	}
	resetStringInfo(scratch);
	appendStringInfoString(scratch, "header ");
	ev_json_append_string(scratch, name->data, length);
	appendStringInfoString(scratch, " is not a string");
	return scratch->data;
}

/*
 * Reads what follows a header's colon: a string or null.
 */
static const char *
read_value(Parser *parser, Header *header)
{
	static const char other_values[] = "{[-0123456789tf";
	size_t		left;

	skip_space(parser);
	left = parser->end - parser->at;
	if (left >= 4 && memcmp(parser->at, "null", 4) == 0)
	{
		parser->at += 4;
		header->value.data = NULL;
		header->value.length = 0;
		return NULL;
	}
	if (left > 0 && memchr(other_values, *parser->at,
						   EV_LITERAL_LENGTH(other_values)) != NULL)
		return not_a_string(parser->scratch, &header->name);
	return read_string(parser, &header->value);
}

/*
 * Reads one header, including a null one, and adds it to the list.
 */
static const char *
read_header(Parser *parser)
{
	Header	   *header;
	const char *reason;

	if (parser->count == parser->capacity)
	{
		parser->capacity *= 2;
		parser->headers = repalloc(parser->headers,
								   parser->capacity * sizeof(Header));
	}
	header = &parser->headers[parser->count++];
	skip_space(parser);
	reason = read_string(parser, &header->name);
	if (reason != NULL)
		return reason;
	if (!take(parser, ':'))
		return reasons[EV_JSON_INVALID];
	return read_value(parser, header);
}

/*
 * Reads the whole text.  Returns a reason, or NULL.
 */
static const char *
read_headers(Parser *parser)
{
	if (!take(parser, '{'))
		return "headers are not a JSON object";
	if (!take(parser, '}'))
	{
		do
		{
			const char *reason = read_header(parser);

			if (reason != NULL)
				return reason;
		} while (take(parser, ','));
		if (!take(parser, '}'))
			return reasons[EV_JSON_INVALID];
	}
	skip_space(parser);
	return parser->at == parser->end ? NULL : reasons[EV_JSON_INVALID];
}

/*
 * Order by name, then by position in the text.
 */
static int
compare_headers(const void *a, const void *b)
{
	const Header *left = *(const Header *const *) a;
	const Header *right = *(const Header *const *) b;
	int			result = memcmp(left->name.data, right->name.data,
								Min(left->name.length, right->name.length));

	if (result == 0)
		result = (left->name.length > right->name.length) -
			(left->name.length < right->name.length);
	if (result == 0)
		result = (left > right) - (left < right);
	return result;
}

/*
 * Makes of headers with one name what a Java map makes of them: the position
 * of the first, the value of the last.  The others become null, and so does
 * the first if the last is: null headers are not written.
 */
static void
merge_duplicates(Parser *parser)
{
	Header	  **order = palloc(parser->capacity * sizeof(Header *));
	Header	   *first = NULL;
	size_t		i;

	for (i = 0; i < parser->count; i++)
		order[i] = &parser->headers[i];
	qsort(order, parser->count, sizeof(Header *), compare_headers);
	for (i = 0; i < parser->count; i++)
	{
		if (first != NULL && slice_equals(&first->name, order[i]->name.data,
										  order[i]->name.length))
		{
			first->value = order[i]->value;
			order[i]->value.data = NULL;
		}
		else
			first = order[i];
	}
	pfree(order);
}

/*
 * Appends the headers in canonical form.
 */
static void
write_headers(const Parser *parser, StringInfo out)
{
	char		separator = '{';
	size_t		i;

	for (i = 0; i < parser->count; i++)
	{
		const Header *header = &parser->headers[i];

		if (header->value.data == NULL)
			continue;
		appendStringInfoCharMacro(out, separator);
		ev_json_append_string(out, header->name.data, header->name.length);
		appendStringInfoCharMacro(out, ':');
		ev_json_append_string(out, header->value.data,
							  header->value.length);
		separator = ',';
	}
	if (separator == '{')
		appendStringInfoCharMacro(out, '{');
	appendStringInfoCharMacro(out, '}');
}

/*
 * Copies the value of the named header to the end of scratch, which must have
 * room.  Returns NULL if there is no such header.
 */
static const char *
keep_value(const Parser *parser, const char *name, StringInfo scratch,
		   size_t *length)
{
	size_t		name_length = strlen(name);
	size_t		i;

	for (i = 0; i < parser->count; i++)
	{
		const Header *header = &parser->headers[i];

		if (header->value.data != NULL &&
			slice_equals(&header->name, name, name_length))
		{
			Assert(header->value.length <
				   (size_t) (scratch->maxlen - scratch->len));
			*length = header->value.length;
			appendBinaryStringInfo(scratch, header->value.data, *length);
			return scratch->data + scratch->len - *length;
		}
	}
	return NULL;
}

/*
 * ev_header_text_parse for text of any form.
 */
static const char *
parse_any(const char *text, size_t length, StringInfo scratch,
		  EvHeaderText *headers)
{
	Parser		parser = {0};
	const char *reason;

	parser.at = text;
	parser.end = text + length;
	parser.text = palloc(Max(length, 1));
	parser.capacity = 16;
	parser.headers = palloc(parser.capacity * sizeof(Header));
	parser.scratch = scratch;

	reason = read_headers(&parser);
	if (reason == NULL)
	{
		merge_duplicates(&parser);
		write_headers(&parser, scratch);
		headers->json_length = scratch->len;
		/* From here on scratch must not move; the values fit in "used". */
		enlargeStringInfo(scratch, parser.used);
		headers->json = scratch->data;
		headers->id = keep_value(&parser, EV_HEADER_ID, scratch,
								 &headers->id_length);
		headers->partition_id = keep_value(&parser, EV_HEADER_PARTITION_ID,
										   scratch,
										   &headers->partition_id_length);
	}
	pfree(parser.headers);
	pfree(parser.text);
	return reason;
}

/*
 * Returns the text of a canonical string: itself, or, if it holds escapes, a
 * copy at the end of scratch, which must have room.
 */
static const char *
unescape(const EvSlice *canonical, StringInfo scratch, size_t *length)
{
	char	   *to = scratch->data + scratch->len;
	const char *at;
	EvJsonError error PG_USED_FOR_ASSERTS_ONLY;

	*length = canonical->length;
	if (canonical->data == NULL ||
		memchr(canonical->data, '\\', canonical->length) == NULL)
		return canonical->data;
	Assert(canonical->length < (size_t) (scratch->maxlen - scratch->len));
	at = canonical->data - 1;
	error = ev_json_read_string(&at, canonical->data + canonical->length + 1,
								to, length);
	Assert(error == EV_JSON_FINE);
	scratch->len += *length;
	return to;
}

/*
 * Check the headers column of a row and bring it into the form in which it
 * goes into the record: that of Jackson after reading the text into a map of
 * strings and writing the map.  White space goes, strings are escaped afresh,
 * of a name that comes twice the first position and the last value stay, null
 * values go.  Other values than strings and null are refused, and so is what
 * PostgreSQL refuses in a string: half a surrogate pair and U+0000.
 *
 * Returns NULL and fills headers, or returns the reason why the row is not a
 * message: lower case, no full stop, UTF-8.  scratch is the caller's and is
 * reset here; headers and the reason may point into text and scratch, and are
 * valid as long as both are left alone.  Text that is canonical already, as
 * unmodified producers write it, is not copied.
 */
const char *
ev_header_text_parse(const char *text, size_t length, StringInfo scratch,
					 EvHeaderText *headers)
{
	EvSlice		id = {0};
	EvSlice		partition_id = {0};

	memset(headers, 0, sizeof(*headers));
	resetStringInfo(scratch);
	if (!scan_canonical(text, length, &id, &partition_id))
		return parse_any(text, length, scratch, headers);

	headers->json = text;
	headers->json_length = length;
	/* Both at once: scratch must not move between them. */
	enlargeStringInfo(scratch, id.length + partition_id.length);
	headers->id = unescape(&id, scratch, &headers->id_length);
	headers->partition_id = unescape(&partition_id, scratch,
									 &headers->partition_id_length);
	return NULL;
}
