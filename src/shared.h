/*-------------------------------------------------------------------------
 *
 * shared.h
 *	  Shared memory: what our processes and the backends tell each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SHARED_H
#define EV_SHARED_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/spin.h"

#include "eventuate.h"

/* Databases with the extension that one server can show and publish. */
#define EV_MAX_DATABASES 256

#define EV_ERROR_LENGTH 512

typedef enum EvState
{
	EV_STATE_STARTING,
	EV_STATE_RECOVERING,
	EV_STATE_CATCHING_UP,
	EV_STATE_STREAMING,
	EV_STATE_WAITING,
	EV_STATE_PAUSED,
	EV_STATE_STOPPED,
	EV_STATE_NOT_CONFIGURED
} EvState;

/* What a worker does. */
typedef enum EvWorkerKind
{
	EV_WORKER_PUBLISHER,		/* of a database */
	EV_WORKER_POLLER,			/* of an outbox */
	EV_WORKER_HOUSEKEEPER		/* of a database */
} EvWorkerKind;

/*
 * A worker that there is, or is to be: what the launcher and those who look
 * need to know of it, whatever it does.
 */
typedef struct EvWorker
{
	slock_t		mutex;			/* protects all fields */
	int			pid;			/* 0: there is no process */
	Latch	   *latch;			/* of the process; NULL: none */
	EvInstant	restart_at;		/* not started again before */
	int			failures;		/* in a row, for the back-off */
	bool		unstarted;		/* last_error says why there is no process */
	EvState		state;
	char		last_error[EV_ERROR_LENGTH];
	TimestampTz last_error_time;
} EvWorker;

/*
 * One database.  The entry is made when somebody asks for a publisher and
 * lives until the launcher learns that the database or its extension is gone.
 */
typedef struct EvDatabase
{
	slock_t		mutex;			/* protects all plain fields */
	Oid			datid;			/* InvalidOid: the entry is free */
	bool		installed;		/* a publisher has seen the extension */
	int			holder;			/* pid of a backend that wants us away; 0:
								 * none */
	EvWorker	publisher;
	EvWorker	housekeeper;

	XLogRecPtr	published_lsn;
	TimestampTz published_through;
	uint64		messages;
	uint64		bytes;
	uint64		in_flight;
	uint64		unconfirmed;
	uint64		dead_letters;
	TimestampTz stats_reset;

	/* When to tidy up again, if there is anything new, or was anything left. */
	EvInstant	clean_at;
	uint64		clean_messages;
	bool		clean_left;

	/* Written by committing backends without the mutex. */
	pg_atomic_uint32 sleeping;	/* the publisher waits: a commit sets its
								 * latch */
	pg_atomic_uint32 recheck;	/* pause, resume, reset: read progress again */
	pg_atomic_uint64 commit_lsn;	/* end of the newest asynchronous commit */

	pg_atomic_uint32 slot_unreadable;	/* to be replaced by another */

	/* Messages that are in no table. */
	pg_atomic_uint32 wal_is_kept;	/* the slot is there, and is read */
	pg_atomic_uint32 slots_lost;	/* so many, since the server started */
	pg_atomic_uint64 wal_message_lsn;	/* end of the newest; 0: none known */
} EvDatabase;

extern void ev_shared_init(void);
extern bool ev_shared_ready(void);
extern void ev_shared_require(const char *what);

extern EvDatabase *ev_shared_find(Oid datid);
extern EvDatabase *ev_shared_get(Oid datid);
extern EvDatabase *ev_shared_entry(int index);
extern void ev_shared_remove(EvDatabase *database);
extern uint32 ev_shared_generation(void);

extern void ev_shared_set_launcher(Latch *latch);
extern void ev_shared_wake_launcher(void);
extern void ev_shared_init_worker(EvWorker *worker);
extern void ev_shared_wake(EvWorker *worker);
extern void ev_shared_start_soon(EvWorker *worker);

extern const char *ev_shared_state_name(EvState state);
extern void ev_shared_set_state(EvWorker *worker, EvState state);
extern void ev_shared_set_error(EvWorker *worker, const char *error);

#endif							/* EV_SHARED_H */
