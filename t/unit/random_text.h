/*-------------------------------------------------------------------------
 *
 * random_text.h
 *	  Random text, and ways to write it in JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RANDOM_TEXT_H
#define RANDOM_TEXT_H

#include "check.h"
#include "mb/pg_wchar.h"

/* A random character in UTF-8, never NUL or a surrogate. */
static inline size_t
random_character(char *to)
{
	pg_wchar	c;

	switch (random_below(12))
	{
		case 0:
			c = 1 + random_below(31);
			break;
		case 1:
			c = "\"\\/\x7F"[random_below(4)];
			break;
		case 2:
			c = 0x80 + random_below(0x780);
			break;
		case 3:
			c = 0x800 + random_below(0xD000);
			break;
		case 4:
			c = 0xE000 + random_below(0x2000);
			break;
		case 5:
			c = 0x10000 + random_below(0x100000);
			break;
		default:
			c = 'a' + random_below(26);
	}
	unicode_to_utf8(c, (unsigned char *) to);
	return pg_utf_mblen((unsigned char *) to);
}

static inline size_t
random_text(char *to, size_t limit)
{
	size_t		end = random_below(limit - 4);
	size_t		length = 0;

	while (length < end)
		length += random_character(to + length);
	return length;
}

static inline void
add_space(Text *text)
{
	while (random_below(3) == 0)
		add(text, &" \t\n\r"[random_below(4)], 1);
}

/* A string, each of its characters written in one of the ways there are. */
static inline void
add_any_string(Text *text, const char *data, size_t length)
{
	static const char shorts[] = "\"\\/\b\f\n\r\t";
	static const char names[] = "\"\\/bfnrt";
	size_t		i = 0;

	add(text, "\"", 1);
	while (i < length)
	{
		int			size = pg_utf_mblen((const unsigned char *) data + i);
		pg_wchar	c = utf8_to_unicode((const unsigned char *) data + i);
		const char *found = c < 128 ? strchr(shorts, (int) c) : NULL;
		const char *format = random_below(2) ? "\\u%04x" : "\\u%04X";
		char		escape[16];

		if (found != NULL && random_below(2))
			snprintf(escape, sizeof(escape), "\\%c", names[found - shorts]);
		else if (c < 0x20 || c == '"' || c == '\\' || random_below(4) == 0)
		{
			if (c < 0x10000)
				snprintf(escape, sizeof(escape), format, c);
			else
			{
				snprintf(escape, sizeof(escape), format,
						 0xD800 + ((c - 0x10000) >> 10));
				snprintf(escape + 6, sizeof(escape) - 6, format,
						 0xDC00 + ((c - 0x10000) & 0x3FF));
			}
		}
		else
			snprintf(escape, sizeof(escape), "%.*s", size, data + i);
		add_string(text, escape);
		i += size;
	}
	add(text, "\"", 1);
}

#endif							/* RANDOM_TEXT_H */
