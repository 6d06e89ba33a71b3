/*-------------------------------------------------------------------------
 *
 * wal_limit.h
 *	  How much WAL the slot may hold back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_WAL_LIMIT_H
#define EV_WAL_LIMIT_H

#include "access/xlogdefs.h"

extern bool ev_wal_limit_irreplaceable(XLogRecPtr lsn);
extern bool ev_wal_limit_exceeded(void);
extern void ev_wal_limit_give_up(void);

#endif							/* EV_WAL_LIMIT_H */
