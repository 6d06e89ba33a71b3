/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Strings of JSON, as Jackson writes them.  Pure.
 *
 * The contracts stand above the functions in json.c.  All text is UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_JSON_H
#define EV_JSON_H

#include "eventuate.h"
#include "lib/stringinfo.h"

#define EV_LITERAL_LENGTH(literal) (sizeof(literal) - 1)

/* A piece of text, not NUL-terminated. */
typedef struct EvSlice
{
	const char *data;
	size_t		length;
} EvSlice;

/*
 * What text is refused for: no JSON, what PostgreSQL cannot hold in a string,
 * or more than we take.
 */
typedef enum EvJsonError
{
	EV_JSON_FINE,
	EV_JSON_INVALID,
	EV_JSON_SURROGATE,			/* half of a pair */
	EV_JSON_NUL,				/* U+0000 */
	EV_JSON_DEPTH,
	EV_JSON_TOO_LONG
} EvJsonError;

extern void ev_json_append_escaped(StringInfo out, const char *text,
								   size_t length);
extern void ev_json_append_string(StringInfo out, const char *text,
								  size_t length);
extern size_t ev_json_escaped_size(const char *text, size_t length);
extern bool ev_json_scan_string(const char **at, const char *end,
								EvSlice *inside);
extern EvJsonError ev_json_read_string(const char **at, const char *end,
									   char *to, size_t *length);

#endif							/* EV_JSON_H */
