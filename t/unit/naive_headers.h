/*-------------------------------------------------------------------------
 *
 * naive_headers.h
 *	  Headers as a list, and a parser for them that goes byte by byte.
 *
 *-------------------------------------------------------------------------
 */
#ifndef NAIVE_HEADERS_H
#define NAIVE_HEADERS_H

#include "postgres_fe.h"

#include "mb/pg_wchar.h"

#define MAX_HEADERS 200

/*
 * Headers as a list: what random text is made from, what the reference parser
 * finds, and what the expected result is computed from.
 */
typedef struct Item
{
	char		name[1000];
	size_t		name_length;
	char		value[1000];
	size_t		value_length;
	bool		is_null;
} Item;

typedef struct Items
{
	Item		items[MAX_HEADERS];
	int			count;
} Items;

/* Position of the first header of that name in the list so far. */
static inline int
find_item(const Items *items, const char *name, size_t length)
{
	int			i;

	for (i = 0; i < items->count; i++)
	{
		if (items->items[i].name_length == length &&
			memcmp(items->items[i].name, name, length) == 0)
			break;
	}
	return i;
}

/* What a map, filled from the list, would hold; then without nulls. */
static inline void
to_map(const Items *items, Items *map)
{
	int			i;

	map->count = 0;
	for (i = 0; i < items->count; i++)
	{
		const Item *item = &items->items[i];
		int			at = find_item(map, item->name, item->name_length);

		map->items[at] = *item;
		if (at == map->count)
			map->count++;
	}
	for (i = 0; i < map->count;)
	{
		if (!map->items[i].is_null)
		{
			i++;
			continue;
		}
		map->count--;
		memmove(&map->items[i], &map->items[i + 1],
				(map->count - i) * sizeof(Item));
	}
}

/*
 * The reference parser, of strings and nulls only.  Everything fits:
 * mutilation makes text longer by a byte at most.
 */
static inline bool
naive_hex(const char **at, const char *end, unsigned *code)
{
	char		digits[5] = "";
	int			i;

	if (end - *at < 4)
		return false;
	for (i = 0; i < 4; i++)
	{
		digits[i] = *(*at)++;
		if (digits[i] == '\0' ||
			strchr("0123456789abcdefABCDEF", digits[i]) == NULL)
			return false;
	}
	*code = strtoul(digits, NULL, 16);
	return true;
}

static inline bool
naive_string(const char **at, const char *end, char *to, size_t *length)
{
	*length = 0;
	if (*at == end || *(*at)++ != '"')
		return false;
	for (;;)
	{
		unsigned	code;
		unsigned	low;
		unsigned char c;

		if (*at == end)
			return false;
		c = *(*at)++;
		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c == '\\')
		{
			if (*at == end)
				return false;
			c = *(*at)++;
			switch (c)
			{
				case '"':
				case '\\':
				case '/':
					break;
				case 'b':
					c = '\b';
					break;
				case 'f':
					c = '\f';
					break;
				case 'n':
					c = '\n';
					break;
				case 'r':
					c = '\r';
					break;
				case 't':
					c = '\t';
					break;
				case 'u':
					if (!naive_hex(at, end, &code) || code == 0)
						return false;
					if (code >= 0xDC00 && code <= 0xDFFF)
						return false;
					if (code >= 0xD800 && code <= 0xDBFF)
					{
						if (end - *at < 2 || *(*at)++ != '\\' ||
							*(*at)++ != 'u' || !naive_hex(at, end, &low) ||
							low < 0xDC00 || low > 0xDFFF)
							return false;
						code = 0x10000 + (code - 0xD800) * 0x400 +
							(low - 0xDC00);
					}
					unicode_to_utf8(code, (unsigned char *) to + *length);
					*length += pg_utf_mblen((unsigned char *) to + *length);
					continue;
				default:
					return false;
			}
		}
		to[(*length)++] = c;
	}
}

static inline void
naive_space(const char **at, const char *end)
{
	while (*at < end && **at != '\0' && strchr(" \t\n\r", **at) != NULL)
		(*at)++;
}

static inline bool
naive_expect(const char **at, const char *end, char c)
{
	naive_space(at, end);
	return *at < end && *(*at)++ == c;
}

static inline bool
naive_parse(const char *text, size_t length, Items *items, bool *other)
{
	const char *at = text;
	const char *end = text + length;

	items->count = 0;
	*other = false;
	if (!naive_expect(&at, end, '{'))
		return false;
	naive_space(&at, end);
	if (at < end && *at == '}')
		at++;
	else
	{
		for (;;)
		{
			Item	   *item = &items->items[items->count++];

			naive_space(&at, end);
			if (!naive_string(&at, end, item->name, &item->name_length) ||
				!naive_expect(&at, end, ':'))
				return false;
			naive_space(&at, end);
			item->is_null = end - at >= 4 && memcmp(at, "null", 4) == 0;
			*other = at < end && *at != '"';
			if (item->is_null)
				at += 4;
			else if (!naive_string(&at, end, item->value,
								   &item->value_length))
				return false;
			naive_space(&at, end);
			if (at < end && *at == ',')
				at++;
			else if (at < end && *at == '}')
			{
				at++;
				break;
			}
			else
				return false;
		}
	}
	naive_space(&at, end);
	return at == end;
}

#endif							/* NAIVE_HEADERS_H */
