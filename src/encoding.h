/*-------------------------------------------------------------------------
 *
 * encoding.h
 *	  Text on its way into the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_ENCODING_H
#define EV_ENCODING_H

#include "lib/stringinfo.h"

extern void ev_encoding_append(StringInfo out, const char *utf8,
							   size_t length);

#endif							/* EV_ENCODING_H */
