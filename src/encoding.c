/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Text on its way into the database's encoding.
 *
 * Messages are UTF-8, and JSON's escapes bring characters into them that the
 * database they come from cannot hold.  What is shown of such a message in
 * SQL must not fail for that: it would stop the publisher, or the reader of a
 * slot, for good.  So those characters are written as JSON escapes them, which
 * inside JSON changes nothing.
 *
 * No state; a restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "encoding.h"

/* What is converted at once, in bytes. */
#define CHUNK 65536

/* Appends a character of UTF-8 as \uXXXX, or two of those. */
static void
append_escape(StringInfo out, const char *utf8)
{
	pg_wchar	c = utf8_to_unicode((const unsigned char *) utf8);

	if (c < 0x10000)
		appendStringInfo(out, "\\u%04X", c);
	else
		appendStringInfo(out, "\\u%04X\\u%04X", 0xD800 + ((c - 0x10000) >> 10),
						 0xDC00 + ((c - 0x10000) & 0x3FF));
}

/* Converts as much as can be and is at hand; returns how many bytes. */
static int
append_converted(StringInfo out, Oid proc, const char *utf8, int length)
{
	int			size = (length + 1) * MAX_CONVERSION_GROWTH + 1;
	char	   *to;
	int			done;

	enlargeStringInfo(out, size);
	to = out->data + out->len;
	done = pg_do_encoding_conversion_buf(proc, PG_UTF8, GetDatabaseEncoding(),
										 unconstify(unsigned char *, (const unsigned char *) utf8),
										 length, (unsigned char *) to, size,
										 true);
	out->len += strlen(to);
	return done;
}

/*
 * Appends valid UTF-8, which holds no NUL, in the database's encoding.
 */
void
ev_encoding_append(StringInfo out, const char *utf8, size_t length)
{
	int			encoding = GetDatabaseEncoding();
	const char *end = utf8 + length;
	Oid			proc;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
	{
		appendBinaryStringInfo(out, utf8, length);
		return;
	}
	proc = FindDefaultConversionProc(PG_UTF8, encoding);
	while (utf8 < end)
	{
		int			chunk = Min(end - utf8, CHUNK);
		int			done = OidIsValid(proc) ?
		append_converted(out, proc, utf8, chunk) : 0;
		int			next = done < chunk ?
		pg_utf_mblen((const unsigned char *) utf8 + done) : 0;

		/* A character that has no place here, or not whole in the chunk. */
		if (next > 0 && next <= chunk - done)
		{
			append_escape(out, utf8 + done);
			done += next;
		}
		utf8 += done;
	}
}
