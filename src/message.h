/*-------------------------------------------------------------------------
 *
 * message.h
 *	  One message <-> bytes: ids, headers, Eventuate's JSON.  Pure.
 *
 * The contracts stand above the functions in message.c.  All text is UTF-8.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_MESSAGE_H
#define EV_MESSAGE_H

#include "eventuate.h"
#include "lib/stringinfo.h"

/* Names of the headers that Eventuate Tram gives a meaning to. */
#define EV_HEADER_ID "ID"
#define EV_HEADER_PARTITION_ID "PARTITION_ID"
#define EV_HEADER_DATE "DATE"
#define EV_HEADER_DESTINATION "DESTINATION"

/* Buffers of ev_message_format_id and ev_message_format_date, with the NUL. */
#define EV_ID_SIZE (EV_ID_LENGTH + 1)
#define EV_DATE_SIZE 40

/*
 * The headers column of an outbox row, as it goes into the record.  json is
 * the canonical object, either the column's own text or a re-serialised copy
 * in the caller's scratch buffer.  id and partition_id are unescaped and not
 * NUL-terminated; NULL where the row has no such header.
 */
typedef struct EvHeaders
{
	const char *json;
	size_t		json_length;
	const char *id;
	size_t		id_length;
	const char *partition_id;
	size_t		partition_id_length;
} EvHeaders;

extern void ev_message_append_string(StringInfo out, const char *text,
									 size_t length);
extern size_t ev_message_string_size(const char *text, size_t length);

extern const char *ev_message_parse_headers(const char *text, size_t length,
											StringInfo scratch,
											EvHeaders *headers);
extern void ev_message_append_envelope(StringInfo out, const char *payload,
									   size_t payload_length,
									   const char *headers,
									   size_t headers_length);
extern size_t ev_message_envelope_size(const char *payload,
									   size_t payload_length,
									   size_t headers_length);

extern const char *ev_message_check_topic(const char *topic, size_t length);

extern uint64 ev_message_next_stamp(uint64 previous, uint64 now_ms);
extern void ev_message_format_id(char *out, uint64 stamp, uint64 node);
extern void ev_message_format_date(char *out, int64 epoch_ms);

#endif							/* EV_MESSAGE_H */
