/*-------------------------------------------------------------------------
 *
 * backlog.h
 *	  Rows of outboxes that are published from the tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_BACKLOG_H
#define EV_BACKLOG_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "backlog_rows.h"

extern List *ev_backlog_lock(void);
extern List *ev_backlog_lock_table(Oid relid, LOCKMODE lockmode);
extern uint64 ev_backlog_send(List *relations, const EvBacklog *backlog,
							  const EvSink *sink);

#endif							/* EV_BACKLOG_H */
