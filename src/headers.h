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

extern void ev_headers_append(StringInfo out, const char *name,
							  const char *value, size_t length);
extern void ev_headers_append_jsonb(StringInfo out, Jsonb *headers,
									text **key, bool *has_partition_id);
extern size_t ev_headers_record_size(Jsonb *headers);

#endif							/* EV_HEADERS_H */
