/*-------------------------------------------------------------------------
 *
 * json_number.h
 *	  Numbers of JSON, as Jackson reads and writes them.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_JSON_NUMBER_H
#define EV_JSON_NUMBER_H

#include "json.h"

extern bool ev_json_scan_number(const char **at, const char *end,
								EvSlice *number);
extern void ev_json_append_number(StringInfo out, const EvSlice *number);

#endif							/* EV_JSON_NUMBER_H */
