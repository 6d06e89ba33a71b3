/*-------------------------------------------------------------------------
 *
 * record_json.h
 *	  Parts of a Kafka record as JSON that people can read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_RECORD_JSON_H
#define EV_RECORD_JSON_H

#include "eventuate.h"
#include "lib/stringinfo.h"

extern void ev_record_json_append_bytes(StringInfo out, const char *name,
										const char *base64_name,
										const char *bytes, size_t length);
extern void ev_record_json_append_headers(StringInfo out,
										  const EvMessage *message);

#endif							/* EV_RECORD_JSON_H */
