/*-------------------------------------------------------------------------
 *
 * header_text.h
 *	  The headers column of a row of Tram's: JSON in, canonical JSON out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_HEADER_TEXT_H
#define EV_HEADER_TEXT_H

#include "eventuate.h"
#include "lib/stringinfo.h"

/*
 * The headers as they go into the record.  json is the canonical object,
 * either the column's own text or a re-serialised copy in the caller's
 * scratch buffer.  id and partition_id are unescaped and not NUL-terminated;
 * NULL where the row has no such header.
 */
typedef struct EvHeaderText
{
	const char *json;
	size_t		json_length;
	const char *id;
	size_t		id_length;
	const char *partition_id;
	size_t		partition_id_length;
} EvHeaderText;

extern const char *ev_header_text_parse(const char *text, size_t length,
										StringInfo scratch,
										EvHeaderText *headers);

#endif							/* EV_HEADER_TEXT_H */
