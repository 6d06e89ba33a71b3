/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Strings of JSON, as Jackson writes them.
 *
 * What Eventuate Tram and its CDC service write comes out of Jackson with its
 * default settings, so "canonical" here means: as Jackson writes it.
 *
 * Promises: what is written is byte for byte Jackson's; any valid JSON string
 * is read; nothing is read outside the text passed in, whatever it holds; no
 * function throws, but for running out of memory or past the size of a
 * StringInfo (1 GB), from which the caller is safe if it has checked the size
 * of the row.  There is no state, so a restart changes nothing.
 *
 * common/jsonapi.c is not used: it translates \u escapes to the database's
 * encoding where we need UTF-8, and a character that has no translation makes
 * PostgreSQL 15's throw, which for a committed row would stop its publisher
 * for good.
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

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "json.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

/* Input bytes escaped at once: bounds what is reserved for the worst case. */
#define ESCAPE_CHUNK 4096

/* The longest escape, \u00XX, and what an escape's copy may write. */
#define MAX_ESCAPE_LENGTH 6

/* How Jackson writes a character; length 0: as it is. */
typedef struct Escape
{
	char		text[MAX_ESCAPE_LENGTH + 1];
	uint8		length;
} Escape;

#define ESCAPE(literal) {literal, EV_LITERAL_LENGTH(literal)}

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
 * A block is what is searched at once for bytes that JSON wants escaped.
 * special_bytes() returns a mask with one bit set for each of them, the first
 * byte's lowest; first_special() is the place of the first.
 */
#ifdef __SSE2__

#define BLOCK_SIZE ((ptrdiff_t) sizeof(__m128i))

static inline uint64
special_bytes(const char *block)
{
	__m128i		bytes = _mm_loadu_si128((const __m128i *) block);
	__m128i		control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
	__m128i		quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
	__m128i		backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));

	return (uint64) _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}

static inline size_t
first_special(uint64 mask)
{
	return pg_rightmost_one_pos64(mask);
}

#else

#define BLOCK_SIZE ((ptrdiff_t) sizeof(uint64))
#define EACH_BYTE(byte) (UINT64CONST(0x0101010101010101) * (byte))

/*
 * Sums of seven-bit numbers cannot carry into the next byte: each top bit
 * answers for its own byte alone.
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

#endif

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
 * Copies blocks to "to" as the inside of a JSON string, as long as they begin
 * before "end", and the block behind each may be read as well; sets *from to
 * where the next would begin.  Whole blocks and whole escapes are stored: what
 * is beyond their length is overwritten by what follows.
 */
static inline char *
copy_blocks(char *to, const char **from, const char *end)
{
	const char *at = *from;

	while (at < end)
	{
		const char *next = at + BLOCK_SIZE;
		uint64		mask = special_bytes(at);
		const char *block = at;

		for (; mask != 0; mask &= mask - 1)
		{
			const char *special = block + first_special(mask);
			const Escape *escape = escape_of(*special);

			memcpy(to, at, BLOCK_SIZE);
			to += special - at;
			memcpy(to, escape->text, MAX_ESCAPE_LENGTH);
			to += escape->length;
			at = special + 1;
		}
		memcpy(to, at, BLOCK_SIZE);
		to += next - at;
		at = next;
	}
	*from = at;
	return to;
}

/*
 * Copies text to "to" as the inside of a JSON string and returns where it
 * ended.  "to" must have room for MAX_ESCAPE_LENGTH times the text and two
 * blocks more.
 */
static char *
copy_escaped(char *to, const char *from, const char *end)
{
	char		last[3 * BLOCK_SIZE];	/* what is left, and what is not
										 * escaped */
	const char *at = last;

	if (end - from >= 2 * BLOCK_SIZE)
		to = copy_blocks(to, &from, end - 2 * BLOCK_SIZE + 1);
	memset(last, ' ', sizeof(last));
	memcpy(last, from, end - from);
	to = copy_blocks(to, &at, last + (end - from));
	return to - (at - last - (end - from));
}

/*
 * Append text, without quotes, as Jackson writes it in a string: the quote and
 * the backslash escaped, \b \t \n \f \r, other characters below U+0020 as
 * \u00XX with upper-case digits, all else as it is.
 *
 * length is in bytes; text must be UTF-8 but is not checked, and must not be
 * part of "out".
 */
void
ev_json_append_escaped(StringInfo out, const char *text, size_t length)
{
	while (length > 0)
	{
		size_t		chunk = Min(length, ESCAPE_CHUNK);
		char	   *to;

		enlargeStringInfo(out, chunk * MAX_ESCAPE_LENGTH + 2 * BLOCK_SIZE);
		to = copy_escaped(out->data + out->len, text, text + chunk);
		out->len = to - out->data;
		text += chunk;
		length -= chunk;
	}
}

/*
 * The same with its quotes.
 */
void
ev_json_append_string(StringInfo out, const char *text, size_t length)
{
	appendStringInfoCharMacro(out, '"');
	ev_json_append_escaped(out, text, length);
	appendStringInfoCharMacro(out, '"');
}

/*
 * How many bytes ev_json_append_escaped would append.
 */
size_t
ev_json_escaped_size(const char *text, size_t length)
{
	const char *end = text + length;
	size_t		size = length;

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
 * Read a string as Jackson writes it, from its opening quote on; false if it
 * is none.  The slice is what is between the quotes, escapes and all; *at
 * moves behind them.
 */
bool
ev_json_scan_string(const char **at, const char *end, EvSlice *inside)
{
	const char *p = *at;

	if (p == end || *p != '"')
		return false;
	inside->data = ++p;
	while ((p = find_special(p, end)) < end && *p != '"')
	{
		size_t		length = canonical_escape(p, end);

		if (length == 0)
			return false;
		p += length;
	}
	if (p == end)
		return false;
	inside->length = p - inside->data;
	*at = p + 1;
	return true;
}

/*
 * Writes the character of a \u escape, or of two that are a surrogate pair,
 * to "to".  *at is behind the u.  The length written is never more than the
 * escapes were long.
 */
static EvJsonError
decode_unicode(const char **at, const char *end, char *to, size_t *length)
{
	int			code = -1;
	int			second = -1;
	pg_wchar	c;

	if (end - *at >= 4)
		code = parse_hex4(*at);
	if (code < 0)
		return EV_JSON_INVALID;
	if (code == 0)
		return EV_JSON_NUL;
	*at += 4;
	c = (pg_wchar) code;
	if (is_utf16_surrogate_first(c))
	{
		if (end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u')
			second = parse_hex4(*at + 2);
		if (second < 0 || !is_utf16_surrogate_second((pg_wchar) second))
			return EV_JSON_SURROGATE;
		*at += 6;
		c = surrogate_pair_to_codepoint(c, (pg_wchar) second);
	}
	else if (is_utf16_surrogate_second(c))
		return EV_JSON_SURROGATE;
	unicode_to_utf8(c, (unsigned char *) to);
	*length = pg_utf_mblen((unsigned char *) to);
	return EV_JSON_FINE;
}

/*
 * Writes the character of the escape at *at, a backslash, to "to".
 */
static EvJsonError
decode_escape(const char **at, const char *end, char *to, size_t *length)
{
	static const char names[] = "\"\\/bfnrt";
	static const char characters[] = "\"\\/\b\f\n\r\t";
	const char *found;
	char		name;

	if (end - *at < 2)
		return EV_JSON_INVALID;
	name = (*at)[1];
	*at += 2;
	if (name == 'u')
		return decode_unicode(at, end, to, length);
	found = memchr(names, name, EV_LITERAL_LENGTH(names));
	if (found == NULL)
		return EV_JSON_INVALID;
	*to = characters[found - names];
	*length = 1;
	return EV_JSON_FINE;
}

/*
 * Read any string, from its opening quote on, and write it unescaped to "to",
 * which has room for as many bytes as the text: it never grows.  *at moves
 * behind the closing quote.
 */
EvJsonError
ev_json_read_string(const char **at, const char *end, char *to,
					size_t *length)
{
	char	   *start = to;

	if (*at == end || **at != '"')
		return EV_JSON_INVALID;
	(*at)++;
	for (;;)
	{
		const char *special = find_special(*at, end);
		size_t		step = special - *at;
		EvJsonError error;

		memcpy(to, *at, step);
		to += step;
		*at = special;
		if (special == end)
			return EV_JSON_INVALID;
		if (*special == '"')
			break;
		/* An unescaped control character is no JSON. */
		error = *special == '\\' ?
			decode_escape(at, end, to, &step) : EV_JSON_INVALID;
		if (error != EV_JSON_FINE)
			return error;
		to += step;
	}
	(*at)++;
	*length = to - start;
	return EV_JSON_FINE;
}
