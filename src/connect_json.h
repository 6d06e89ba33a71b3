/*-------------------------------------------------------------------------
 *
 * connect_json.h
 *	  JSON as Debezium's event router and Kafka Connect make it.  Pure.
 *
 * The contracts stand above the functions in connect_json.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_CONNECT_JSON_H
#define EV_CONNECT_JSON_H

#include "eventuate.h"
#include "lib/stringinfo.h"

extern bool ev_connect_json_expand(StringInfo out, const char *text,
								   size_t length);
extern void ev_connect_json_append_string(StringInfo out, const char *text,
										  size_t length);

#endif							/* EV_CONNECT_JSON_H */
