/*-------------------------------------------------------------------------
 *
 * shortcut.h
 *	  Ordinary transactions, without PostgreSQL's replay.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SHORTCUT_H
#define EV_SHORTCUT_H

#include "replication/logical.h"

extern void ev_shortcut_decode(LogicalDecodingContext *ctx);

#endif							/* EV_SHORTCUT_H */
