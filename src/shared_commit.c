/*-------------------------------------------------------------------------
 *
 * shared_commit.c
 *	  What a session tells our processes when its transaction ends.
 *
 * The publisher is woken, if it sleeps; whatever the transaction asked for is
 * carried out if it commits, and only then.
 *
 * Promises: a commit costs a session no lock and, unless the publisher sleeps,
 * no system call; that goes for every commit in the database, whether there
 * was a message in it or not.
 *
 * Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"

#include "compat.h"
#include "shared.h"
#include "shared_commit.h"
#include "shared_outbox.h"

/* What this session's transaction asks for at its commit. */
static bool recheck_wanted = false;
static bool publisher_wanted = false;

/* Has it written messages to WAL alone, and which slot was to bring them? */
static bool wrote_wal_message = false;
static uint32 slot_of_messages = 0;

/* At this transaction's commit the publisher reads its progress row again. */
void
ev_shared_recheck_at_commit(void)
{
	recheck_wanted = true;
}

/* At this transaction's commit the launcher is asked for a publisher. */
void
ev_shared_request_at_commit(void)
{
	publisher_wanted = true;
}

/* This session's entry; remembered, so that commits do not search. */
static EvDatabase *
my_database(void)
{
	static EvDatabase *mine = NULL;
	static uint32 generation = 0;
	uint32		now = ev_shared_generation();

	if (now != generation)
	{
		mine = ev_shared_find(MyDatabaseId);
		generation = now;
	}
	return mine;
}

/*
 * Will what is written to this database's WAL now be read?  Also notes by which
 * slot, for what a transaction writes first.
 */
bool
ev_shared_wal_is_kept(void)
{
	EvDatabase *database = my_database();

	if (database == NULL)
		return false;
	if (!wrote_wal_message)
		slot_of_messages = pg_atomic_read_u32(&database->slots_lost);
	pg_read_barrier();
	return pg_atomic_read_u32(&database->wal_is_kept) != 0;
}

/* A message was written that is in WAL alone, and ends at "end". */
void
ev_shared_note_wal_message(XLogRecPtr end)
{
	EvDatabase *database = my_database();

	wrote_wal_message = true;
	if (database != NULL)
		pg_atomic_monotonic_advance_u64(&database->wal_message_lsn, end);
}

/*
 * Throws if nobody will read the messages that this transaction has written to
 * WAL alone, since another slot begins behind them.
 */
static void
check_wal_messages(void)
{
	EvDatabase *database = my_database();

	if (database != NULL &&
		pg_atomic_read_u32(&database->slots_lost) == slot_of_messages)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("messages of this transaction would not be published"),
			 errdetail("They were written to WAL only, and the replication slot has been lost meanwhile."),
			 errhint("Try the transaction again.")));
}

/*
 * Something was committed in this database: the publisher may have to look.
 * With synchronous_commit = off the commit may not be flushed yet; the
 * publisher does that itself, up to commit_lsn.
 */
static void
announce_commit(EvDatabase *database, XLogRecPtr commit_end)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		pg_atomic_monotonic_advance_u64(&database->commit_lsn, commit_end);

	/* Pairs with the publisher, which raises the flag, then looks at WAL. */
	pg_memory_barrier();
	if (pg_atomic_read_u32(&database->sleeping) != 0 &&
		pg_atomic_exchange_u32(&database->sleeping, 0) != 0)
		ev_shared_wake(&database->publisher);
}

/* Carries out what this transaction asked for. */
static void
serve_requests(EvDatabase *database)
{
	if (publisher_wanted && (database == NULL || !database->installed))
	{
		database = ev_shared_get(MyDatabaseId);
		if (database != NULL)
		{
			SpinLockAcquire(&database->mutex);
			database->installed = true;
			SpinLockRelease(&database->mutex);
			ev_shared_start_soon(&database->publisher);
		}
		ev_shared_wake_launcher();
	}
	if (recheck_wanted && database != NULL)
	{
		pg_atomic_write_u32(&database->recheck, 1);
		ev_shared_wake(&database->publisher);
	}
}

/*
 * Runs at the end of every transaction of every backend.  COMMIT PREPARED
 * comes here too: it is a transaction that wrote WAL.  Must not throw once
 * that is over.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	static XLogRecPtr last_commit_end = InvalidXLogRecPtr;

	if (!ev_shared_ready() || !OidIsValid(MyDatabaseId))
		return;
	if ((event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) &&
		wrote_wal_message)
		check_wal_messages();
	if (event == XACT_EVENT_COMMIT)
	{
		EvDatabase *database = my_database();

		if (database != NULL && XactLastCommitEnd != last_commit_end)
		{
			last_commit_end = XactLastCommitEnd;
			announce_commit(database, last_commit_end);
		}
		if (publisher_wanted || recheck_wanted)
			serve_requests(database);
		ev_shared_outbox_at_commit();
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
	{
		publisher_wanted = recheck_wanted = wrote_wal_message = false;
		ev_shared_outbox_forget_requests();
	}
}

/*
 * Called once, by _PG_init while preloading: all backends inherit the
 * callback.
 */
void
ev_shared_commit_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}
