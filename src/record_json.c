/*-------------------------------------------------------------------------
 *
 * record_json.c
 *	  Parts of a Kafka record as JSON that people can read.
 *
 * Bytes that are text become a string, others base64 under another name.
 * Headers have the array form that eventuate_produce() takes.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"

#include "json.h"
#include "record_json.h"

/* Text that jsonb can hold too, which has no place for NUL. */
static bool
is_text(const char *bytes, size_t length)
{
	return memchr(bytes, '\0', length) == NULL &&
		pg_verify_mbstr(PG_UTF8, bytes, length, true);
}

/* Appends bytes as a member: null, a string, or base64. */
void
ev_record_json_append_bytes(StringInfo out, const char *name,
							const char *base64_name, const char *bytes,
							size_t length)
{
	if (bytes == NULL)
		appendStringInfo(out, "\"%s\":null", name);
	else if (is_text(bytes, length))
	{
		appendStringInfo(out, "\"%s\":", name);
		ev_json_append_string(out, bytes, length);
	}
	else
	{
		int			size = pg_b64_enc_len(length);
		char	   *encoded = palloc(size + 1);
		int			used = pg_b64_encode((const void *) bytes, length,
										 encoded, size);

		appendStringInfo(out, "\"%s\":\"%.*s\"", base64_name, used, encoded);
		pfree(encoded);
	}
}

/* Appends the headers as an array. */
void
ev_record_json_append_headers(StringInfo out, const EvMessage *message)
{
	appendStringInfoChar(out, '[');
	for (int i = 0; i < message->header_count; i++)
	{
		const EvHeader *header = &message->headers[i];

		appendStringInfoString(out, i == 0 ? "{\"key\":" : ",{\"key\":");
		ev_json_append_string(out, header->name, strlen(header->name));
		appendStringInfoChar(out, ',');
		ev_record_json_append_bytes(out, "value", "base64", header->value,
									header->value_length);
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ']');
}
