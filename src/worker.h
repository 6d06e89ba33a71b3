/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What every worker of a database is: a process that waits in one place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_WORKER_H
#define EV_WORKER_H

#include "compat.h"
#include "shared.h"

/* What the launcher tells a worker, in bgw_extra. */
typedef struct EvWorkerTask
{
	NameData	database;		/* its name when the worker was started */
	Oid			datid;
	EvWorkerKind kind;
	Oid			relid;			/* of a poller's outbox */
} EvWorkerTask;

/* Called last thing before the process leaves by itself. */
typedef void (*EvLeaveCallback) (void);

extern const char *ev_worker_kind_name(EvWorkerKind kind);
extern void ev_worker_take_signals(void);
extern bool ev_worker_shutdown_requested(void);
extern EvDatabase *ev_worker_start(void);
extern const EvWorkerTask *ev_worker_task(void);
extern const char *ev_worker_database(void);
extern void ev_worker_record_error(void);

extern void ev_worker_before_leaving(EvLeaveCallback callback);
pg_noreturn extern void ev_worker_leave(void);
pg_noreturn extern void ev_worker_leave_and_come_back(void);
extern void ev_worker_want_restart(void);
extern bool ev_worker_restart_wanted(void);
extern void ev_worker_settled(void);
extern void ev_worker_check_requests(void);

extern void ev_worker_watch(int fd);

/* Should a wake-up be missed after all, it is by no more than this, in ms. */
#define EV_FALLBACK_POLL 100

extern void ev_worker_wait(void);
extern void ev_worker_wait_for(long timeout_ms);
extern void ev_worker_wait_deaf(long timeout_ms);

extern void ev_worker_show(EvState state, const char *reason);

#endif							/* EV_WORKER_H */
