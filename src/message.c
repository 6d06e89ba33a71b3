/*-------------------------------------------------------------------------
 *
 * message.c
 *	  One message <-> bytes: ids, headers, Eventuate's JSON.
 *
 * Owns every byte that Eventuate Tram prescribes: the envelope that is the
 * value of a record, the canonical form of the headers, the text of ids and
 * dates.  What Tram and its CDC service write comes out of Jackson with its
 * default settings, so "canonical" here means: as Jackson writes it.
 *
 * Promises: the output is byte for byte Jackson's; nothing is read outside
 * the text passed in, whatever it holds; no function throws, but for running
 * out of memory or past the size of a StringInfo (1 GB), from which the
 * caller is safe if it has checked the size of the row.  There is no state,
 * so a restart changes nothing.
 *
 * The headers are parsed here and not by common/jsonapi.c: that parser
 * translates \u escapes to the database's encoding where we need UTF-8, and a
 * character that has no translation makes PostgreSQL 15's throw, which for a
 * committed row would stop its publisher for good.
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

#include "mb/pg_wchar.h"
#include "message.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#define ENVELOPE_START "{\"payload\":"
#define ENVELOPE_MIDDLE ",\"headers\":"
#define ENVELOPE_END "}"
#define LITERAL_LENGTH(literal) (sizeof(literal) - 1)

/* Rows of more names than this are checked for duplicates by sorting. */
#define MAX_FAST_NAMES 64

/* How much of a header's name goes into a reason, in bytes. */
#define MAX_SHOWN_NAME 64

/* Input bytes escaped at once: bounds what is reserved for the worst case. */
#define ESCAPE_CHUNK 4096

/* The longest escape, \u00XX, and what an escape's copy may write. */
#define MAX_ESCAPE_LENGTH 6

/* What is searched at once for bytes to escape. */
#define BLOCK_SIZE ((ptrdiff_t) sizeof(uint64))
#define EACH_BYTE(byte) (UINT64CONST(0x0101010101010101) * (byte))

/* How Jackson writes a character; length 0: as it is. */
typedef struct Escape
{
	char		text[MAX_ESCAPE_LENGTH + 1];
	uint8		length;
} Escape;

/* A piece of text.  data == NULL stands for JSON's null. */
typedef struct Slice
{
	const char *data;
	size_t		length;
} Slice;

typedef struct Header
{
	Slice		name;
	Slice		value;
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

static const char *const not_an_object = "headers are not a JSON object";
static const char *const not_json = "headers are not valid JSON";
static const char *const unpaired_surrogate =
"headers hold an unpaired surrogate";
static const char *const nul_character = "headers hold a NUL character";

#define ESCAPE(literal) {literal, LITERAL_LENGTH(literal)}

static const Escape escapes[256] = {
	[0x00] = ESCAPE("\\u0000"), [0x01] = ESCAPE("\\u0001"),
	[0x02] = ESCAPE("\\u0002"), [0x03] = ESCAPE("\\u0003"),
	[0x04] = ESCAPE("\\u0004"), [0x05] = ESCAPE("\\u0005"),
	[0x06] = ESCAPE("\\u0006"), [0x07] = ESCAPE("\\u0007"),
	[0x08] = ESCAPE("\\b"), [0x09] = ESCAPE("\\t"),
	[0x0A] = ESCAPE("\\n"), [0x0B] = ESCAPE("\\u000B"),
	[0x0C] = ESCAPE("\\f"), [0x0D] = ESCAPE("\\r"),
	[0x0E] = ESCAPE("\\u000E"), [0x0F] = ESCAPE("\\u000F"),
	[0x10] = ESCAPE("\\u0010"), [0x11] = ESCAPE("\\u0011"),
	[0x12] = ESCAPE("\\u0012"), [0x13] = ESCAPE("\\u0013"),
	[0x14] = ESCAPE("\\u0014"), [0x15] = ESCAPE("\\u0015"),
	[0x16] = ESCAPE("\\u0016"), [0x17] = ESCAPE("\\u0017"),
	[0x18] = ESCAPE("\\u0018"), [0x19] = ESCAPE("\\u0019"),
	[0x1A] = ESCAPE("\\u001A"), [0x1B] = ESCAPE("\\u001B"),
	[0x1C] = ESCAPE("\\u001C"), [0x1D] = ESCAPE("\\u001D"),
	[0x1E] = ESCAPE("\\u001E"), [0x1F] = ESCAPE("\\u001F"),
	['"'] = ESCAPE("\\\""), ['\\'] = ESCAPE("\\\\"),
};

static inline const Escape *
escape_of(char c)
{
	return &escapes[(unsigned char) c];
}

/*
 * Returns a mask with the top bit of each byte set that JSON wants escaped,
 * the first byte of the block lowest.
 *
 * All eight are examined at once.  Sums of seven-bit numbers cannot carry
 * into the next byte, so each top bit answers for its own byte alone.
 */
static inline uint64
special_bytes(const char *block)
{
	uint64		low = EACH_BYTE(0x7F);
	uint64		bytes;
	uint64		quote;
	uint64		backslash;
	uint64		plain;

	memcpy(&bytes, block, BLOCK_SIZE);
	quote = bytes ^ EACH_BYTE('"');
	backslash = bytes ^ EACH_BYTE('\\');
	plain = ((bytes & low) + EACH_BYTE(0x60)) | bytes;	/* not below 0x20 */
	plain &= ((quote & low) + low) | quote; /* not zero */
	plain &= ((backslash & low) + low) | backslash;
#ifdef WORDS_BIGENDIAN
	plain = pg_bswap64(plain);
#endif
	return ~plain & EACH_BYTE(0x80);
}

static inline size_t
first_special(uint64 mask)
{
	return pg_rightmost_one_pos64(mask) / BITS_PER_BYTE;
}

/*
 * Returns where the first byte that JSON wants escaped is, or end.
 */
static inline const char *
find_special(const char *at, const char *end)
{
	for (; end - at >= BLOCK_SIZE; at += BLOCK_SIZE)
	{
		uint64		mask = special_bytes(at);

		if (mask != 0)
			return at + first_special(mask);
	}
	while (at < end && escape_of(*at)->length == 0)
		at++;
	return at;
}

/*
 * Copies text to "to" as the inside of a JSON string and returns where it
 * ended.  "to" must have room for MAX_ESCAPE_LENGTH times the text and one
 * block more: whole blocks and whole escapes are stored, what is beyond their
 * length is overwritten by what follows.
 */
static char *
copy_escaped(char *to, const char *from, const char *end)
{
	/* Two blocks, so that one may be read from anywhere in the first. */
	while (end - from >= 2 * BLOCK_SIZE)
	{
		const char *next = from + BLOCK_SIZE;
		uint64		mask = special_bytes(from);
		const char *block = from;

		for (; mask != 0; mask &= mask - 1)
		{
			const char *special = block + first_special(mask);
			const Escape *escape = escape_of(*special);

			memcpy(to, from, BLOCK_SIZE);
			to += special - from;
			memcpy(to, escape->text, MAX_ESCAPE_LENGTH);
			to += escape->length;
			from = special + 1;
		}
		memcpy(to, from, BLOCK_SIZE);
		to += next - from;
		from = next;
	}
	for (; from < end; from++)
	{
		const Escape *escape = escape_of(*from);

		*to = *from;
		if (escape->length != 0)
			memcpy(to, escape->text, MAX_ESCAPE_LENGTH);
		to += Max(escape->length, 1);
	}
	return to;
}

/*
 * Append text, with its quotes, as Jackson writes a string: the quote and the
 * backslash escaped, \b \t \n \f \r, other characters below U+0020 as \u00XX
 * with upper-case digits, all else as it is.
 *
 * length is in bytes; text must be UTF-8 but is not checked, and must not be
 * part of "out".
 */
void
ev_message_append_string(StringInfo out, const char *text, size_t length)
{
	appendStringInfoCharMacro(out, '"');
	while (length > 0)
	{
		size_t		chunk = Min(length, ESCAPE_CHUNK);
		char	   *to;

		enlargeStringInfo(out, chunk * MAX_ESCAPE_LENGTH + BLOCK_SIZE);
		to = copy_escaped(out->data + out->len, text, text + chunk);
		out->len = to - out->data;
		text += chunk;
		length -= chunk;
	}
	appendStringInfoCharMacro(out, '"');
}

/*
 * How many bytes ev_message_append_string would append.
 */
size_t
ev_message_string_size(const char *text, size_t length)
{
	const char *end = text + length;
	size_t		size = length + 2;

	for (; end - text >= BLOCK_SIZE; text += BLOCK_SIZE)
	{
		uint64		mask = special_bytes(text);

		for (; mask != 0; mask &= mask - 1)
			size += escape_of(text[first_special(mask)])->length - 1;
	}
	for (; text < end; text++)
		size += Max(escape_of(*text)->length, 1) - 1;
	return size;
}

/*
 * Append the value of a record: the payload as a JSON string, the headers as
 * the JSON that ev_message_parse_headers returned.  Nothing is checked.  The
 * format is that of Eventuate's MessageWithDestination, as its CDC service
 * serialises it.
 */
void
ev_message_append_envelope(StringInfo out, const char *payload,
						   size_t payload_length, const char *headers,
						   size_t headers_length)
{
	appendBinaryStringInfo(out, ENVELOPE_START,
						   LITERAL_LENGTH(ENVELOPE_START));
	ev_message_append_string(out, payload, payload_length);
	appendBinaryStringInfo(out, ENVELOPE_MIDDLE,
						   LITERAL_LENGTH(ENVELOPE_MIDDLE));
	appendBinaryStringInfo(out, headers, headers_length);
	appendBinaryStringInfo(out, ENVELOPE_END, LITERAL_LENGTH(ENVELOPE_END));
}

/*
 * How many bytes ev_message_append_envelope would append.
 */
size_t
ev_message_envelope_size(const char *payload, size_t payload_length,
						 size_t headers_length)
{
	return LITERAL_LENGTH(ENVELOPE_START) +
		ev_message_string_size(payload, payload_length) +
		LITERAL_LENGTH(ENVELOPE_MIDDLE) + headers_length +
		LITERAL_LENGTH(ENVELOPE_END);
}

static inline bool
slice_equals(const Slice *slice, const char *data, size_t length)
{
	return slice->length == length && memcmp(slice->data, data, length) == 0;
}

/*
 * The value of four hexadecimal digits, or -1.
 */
static int
parse_hex4(const char *digits)
{
	int			value = 0;
	int			i;

	for (i = 0; i < 4; i++)
	{
		char		c = digits[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/*
 * The length of the escape at "at" if Jackson would have written it so, else
 * 0; also 0 for \u0000, which is not allowed here.
 */
static size_t
canonical_escape(const char *at, const char *end)
{
	int			code;

	if (end - at < 2 || at[0] != '\\')
		return 0;
	switch (at[1])
	{
		case '"':
		case '\\':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			return 2;
		case 'u':
			if (end - at < MAX_ESCAPE_LENGTH)
				return 0;
			code = parse_hex4(at + 2);
			if (code < 1 || code > 0x1F ||
				memcmp(at, escapes[code].text, MAX_ESCAPE_LENGTH) != 0)
				return 0;
			return MAX_ESCAPE_LENGTH;
		default:
			return 0;
	}
}

/*
 * Reads a string as Jackson writes it, from its opening quote on.  The slice
 * is what is between the quotes, escapes and all; *at moves behind them.
 */
static bool
read_canonical(const char **at, const char *end, Slice *slice)
{
	const char *p = *at;

	if (p == end || *p != '"')
		return false;
	slice->data = ++p;
	while ((p = find_special(p, end)) < end && *p != '"')
	{
		size_t		length = canonical_escape(p, end);

		if (length == 0)
			return false;
		p += length;
	}
	if (p == end)
		return false;
	slice->length = p - slice->data;
	*at = p + 1;
	return true;
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
scan_canonical(const char *text, size_t length, Slice *id,
			   Slice *partition_id)
{
	const char *at = text + 1;
	const char *end = text + length;
	Slice		names[MAX_FAST_NAMES];
	int			count;

	if (length < 2 || *text != '{')
		return false;
	if (*at == '}')
		return length == 2;
	for (count = 0; count < MAX_FAST_NAMES; count++)
	{
		Slice	   *name = &names[count];
		Slice		value;
		int			i;

		if (!read_canonical(&at, end, name) || at == end || *at++ != ':' ||
			!read_canonical(&at, end, &value) || at == end)
			return false;
		for (i = 0; i < count; i++)
		{
			if (slice_equals(&names[i], name->data, name->length))
				return false;
		}
		if (slice_equals(name, EV_HEADER_ID, LITERAL_LENGTH(EV_HEADER_ID)))
			*id = value;
		else if (slice_equals(name, EV_HEADER_PARTITION_ID,
							  LITERAL_LENGTH(EV_HEADER_PARTITION_ID)))
			*partition_id = value;
		if (*at == '}')
			return at + 1 == end;
		if (*at++ != ',')
			return false;
	}
	return false;
}

/*
 * Writes the character of a \u escape, or of two that are a surrogate pair,
 * to "to".  parser->at is behind the u.  Returns a reason, or NULL and the
 * length written: never more than the escapes were long.
 */
static const char *
decode_unicode(Parser *parser, char *to, size_t *length)
{
	int			code = -1;
	int			second = -1;
	pg_wchar	c;

	if (parser->end - parser->at >= 4)
		code = parse_hex4(parser->at);
	if (code < 0)
		return not_json;
	if (code == 0)
		return nul_character;
	parser->at += 4;
	c = (pg_wchar) code;
	if (is_utf16_surrogate_first(c))
	{
		if (parser->end - parser->at >= 6 && parser->at[0] == '\\' &&
			parser->at[1] == 'u')
			second = parse_hex4(parser->at + 2);
		if (second < 0 || !is_utf16_surrogate_second((pg_wchar) second))
			return unpaired_surrogate;
		parser->at += 6;
		c = surrogate_pair_to_codepoint(c, (pg_wchar) second);
	}
	else if (is_utf16_surrogate_second(c))
		return unpaired_surrogate;
	unicode_to_utf8(c, (unsigned char *) to);
	*length = pg_utf_mblen((unsigned char *) to);
	return NULL;
}

/*
 * Writes the character of the escape at parser->at, a backslash, to "to".
 * Returns as decode_unicode does.
 */
static const char *
decode_escape(Parser *parser, char *to, size_t *length)
{
	static const char names[] = "\"\\/bfnrt";
	static const char characters[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (parser->end - parser->at < 2)
		return not_json;
	parser->at += 2;
	if (parser->at[-1] == 'u')
		return decode_unicode(parser, to, length);
	found = memchr(names, parser->at[-1], LITERAL_LENGTH(names));
	if (found == NULL)
		return not_json;
	*to = characters[found - names];
	*length = 1;
	return NULL;
}

/*
 * Reads any JSON string into parser->text, unescaped.  Returns a reason, or
 * NULL.
 */
static const char *
read_string(Parser *parser, Slice *slice)
{
	char	   *to = parser->text + parser->used;

	if (parser->at == parser->end || *parser->at != '"')
		return not_json;
	parser->at++;
	slice->data = to;
	for (;;)
	{
		const char *special = find_special(parser->at, parser->end);
		size_t		length = special - parser->at;
		const char *reason;

		memcpy(to, parser->at, length);
		to += length;
		parser->at = special;
		if (special == parser->end)
			return not_json;
		if (*special == '"')
			break;
		/* An unescaped control character is no JSON. */
		reason = *special == '\\' ?
			decode_escape(parser, to, &length) : not_json;
		if (reason != NULL)
			return reason;
		to += length;
	}
	parser->at++;
	slice->length = to - slice->data;
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
not_a_string(StringInfo scratch, const Slice *name)
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
	ev_message_append_string(scratch, name->data, length);
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
						   LITERAL_LENGTH(other_values)) != NULL)
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
		return not_json;
	return read_value(parser, header);
}

/*
 * Reads the whole text.  Returns a reason, or NULL.
 */
static const char *
read_headers(Parser *parser)
{
	if (!take(parser, '{'))
		return not_an_object;
	if (!take(parser, '}'))
	{
		do
		{
			const char *reason = read_header(parser);

			if (reason != NULL)
				return reason;
		} while (take(parser, ','));
		if (!take(parser, '}'))
			return not_json;
	}
	skip_space(parser);
	return parser->at == parser->end ? NULL : not_json;
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
		ev_message_append_string(out, header->name.data, header->name.length);
		appendStringInfoCharMacro(out, ':');
		ev_message_append_string(out, header->value.data,
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
 * ev_message_parse_headers for text of any form.
 */
static const char *
parse_any(const char *text, size_t length, StringInfo scratch,
		  EvHeaders *headers)
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
unescape(const Slice *canonical, StringInfo scratch, size_t *length)
{
	Parser		parser = {0};
	Slice		text;
	const char *reason PG_USED_FOR_ASSERTS_ONLY;

	*length = canonical->length;
	if (canonical->data == NULL ||
		memchr(canonical->data, '\\', canonical->length) == NULL)
		return canonical->data;
	Assert(canonical->length < (size_t) (scratch->maxlen - scratch->len));
	parser.at = canonical->data - 1;
	parser.end = canonical->data + canonical->length + 1;
	parser.text = scratch->data + scratch->len;
	reason = read_string(&parser, &text);
	Assert(reason == NULL && parser.at == parser.end);
	scratch->len += text.length;
	*length = text.length;
	return text.data;
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
ev_message_parse_headers(const char *text, size_t length, StringInfo scratch,
						 EvHeaders *headers)
{
	Slice		id = {0};
	Slice		partition_id = {0};

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
 * Write the id of a message, EV_ID_SIZE bytes with the NUL, in the form of
 * Eventuate's Int128.  node is the 48 bits that tell this server start from
 * any other.
 */
void
ev_message_format_id(char *out, uint64 stamp, uint64 node)
{
	Assert(node < UINT64CONST(1) << 48);
	format_hex(out, stamp >> 16);
	out[16] = '-';
	format_hex(out + 17, node << 16 | (stamp & 0xFFFF));
	out[EV_ID_LENGTH] = '\0';
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
