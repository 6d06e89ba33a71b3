/*-------------------------------------------------------------------------
 *
 * headers.h
 *	  The argument "headers" of the functions that send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_HEADERS_H
#define EV_HEADERS_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* Names that the caller may not use, besides those of every message. */
typedef struct EvHeaderRules
{
	const char *function;		/* which sets them, for messages */
	const char *reserved[4];
	const char *prefix;			/* of further names, or NULL */
} EvHeaderRules;

extern void ev_headers_begin(StringInfo out, Jsonb *given,
							 const EvHeaderRules *rules, text **key);
extern void ev_headers_append(StringInfo out, const char *name,
							  const char *value, size_t length);
extern void ev_headers_append_text(StringInfo out, const char *name,
								   const text *value);
extern void ev_headers_append_echoes(StringInfo out, Jsonb *request);
extern size_t ev_headers_record_size(Jsonb *headers);

#endif							/* EV_HEADERS_H */
