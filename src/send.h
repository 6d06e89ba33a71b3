/*-------------------------------------------------------------------------
 *
 * send.h
 *	  A message into eventuate.message, for the functions that send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SEND_H
#define EV_SEND_H

#include "lib/stringinfo.h"

extern text *ev_send_message(const char *function, text *channel, text *key,
							 StringInfo headers, text *payload);

#endif							/* EV_SEND_H */
