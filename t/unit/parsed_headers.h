/*-------------------------------------------------------------------------
 *
 * parsed_headers.h
 *	  Text of headers, parsed: a copy of exactly its size, so that the sanitizers
 *	  see what is read behind it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PARSED_HEADERS_H
#define PARSED_HEADERS_H

#include "check.h"
#include "header_text.h"

typedef struct Parsed
{
	char	   *text;			/* the exact copy */
	StringInfoData scratch;
	EvHeaderText headers;
	const char *reason;
} Parsed;

static inline void
parse(Parsed *parsed, const char *text, size_t length)
{
	parsed->text = exact_copy(text, length);
	initStringInfo(&parsed->scratch);
	appendStringInfoString(&parsed->scratch, "rubbish");
	memset(&parsed->headers, 0x55, sizeof(EvHeaderText));
	parsed->reason = ev_header_text_parse(parsed->text, length,
										  &parsed->scratch,
										  &parsed->headers);
}

static inline void
parse_end(Parsed *parsed)
{
	free(parsed->text);
	pfree(parsed->scratch.data);
}

#endif							/* PARSED_HEADERS_H */
