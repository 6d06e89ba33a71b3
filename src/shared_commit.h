/*-------------------------------------------------------------------------
 *
 * shared_commit.h
 *	  What a session tells our processes when its transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SHARED_COMMIT_H
#define EV_SHARED_COMMIT_H

#include "access/xlogdefs.h"

extern void ev_shared_commit_init(void);
extern void ev_shared_recheck_at_commit(void);
extern void ev_shared_request_at_commit(void);

extern bool ev_shared_wal_is_kept(void);
extern void ev_shared_note_wal_message(XLogRecPtr end);

#endif							/* EV_SHARED_COMMIT_H */
