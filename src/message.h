/*-------------------------------------------------------------------------
 *
 * message.h
 *	  What Eventuate Tram prescribes of a message: envelope, id, date.  Pure.
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

/* Those of domain events, ... */
#define EV_HEADER_EVENT_TYPE "event-type"
#define EV_HEADER_AGGREGATE_TYPE "event-aggregate-type"
#define EV_HEADER_AGGREGATE_ID "event-aggregate-id"

/* ... of commands (that before the channel has two underscores), ... */
#define EV_HEADER_COMMAND_PREFIX "command_"
#define EV_HEADER_COMMAND_DESTINATION "command__destination"
#define EV_HEADER_COMMAND_TYPE "command_type"
#define EV_HEADER_COMMAND_RESOURCE "command_resource"
#define EV_HEADER_COMMAND_REPLY_TO "command_reply_to"

/* ... and of replies, which bring the command's headers back. */
#define EV_HEADER_ECHO_PREFIX "commandreply_"
#define EV_HEADER_REPLY_TO_MESSAGE_ID "reply_to_message_id"
#define EV_HEADER_REPLY_OUTCOME "reply_outcome-type"
#define EV_HEADER_REPLY_TYPE "reply_type"

/* Buffers of ev_message_format_id and ev_message_format_date, with the NUL. */
#define EV_ID_SIZE (EV_ID_LENGTH + 1)
#define EV_DATE_SIZE 40

extern void ev_message_append_envelope(StringInfo out, const char *payload,
									   size_t payload_length,
									   const char *headers,
									   size_t headers_length);
extern size_t ev_message_envelope_size(const char *payload,
									   size_t payload_length,
									   size_t headers_length);

extern const char *ev_message_check_topic(const char *topic, size_t length);

extern uint64 ev_message_next_stamp(uint64 previous, uint64 now_ms);
extern void ev_message_format_int128(char *out, uint64 high, uint64 low);
extern void ev_message_format_id(char *out, uint64 stamp, uint64 node);
extern void ev_message_format_date(char *out, int64 epoch_ms);

#endif							/* EV_MESSAGE_H */
