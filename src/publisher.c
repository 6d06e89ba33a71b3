/*-------------------------------------------------------------------------
 *
 * publisher.c
 *	  The background worker that publishes one database's messages.
 *
 * Owns the process from its entry point to its end, and the one loop: a turn
 * (publisher_turn.c), then as much WAL as is sensible.  The one wait: a latch
 * (commits, signals), the producer's file descriptor, the postmaster's death,
 * a fallback of 100 ms.
 *
 * It stays as long as the extension is there: paused, stopped and not
 * configured are states of a living process, since somebody has to see the end
 * of them, and to take the slot away with the extension.  What needs another
 * start - pause and resume, other addresses of Kafka - is a restart of the
 * process: all there is to know is in the slot and in eventuate.progress.
 *
 * An unexpected error ends the process; the launcher starts another.  Where the
 * slot would bring the same error again, the next process makes another slot.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "confirm.h"
#include "delivery.h"
#include "pace.h"
#include "publisher.h"
#include "publisher_start.h"
#include "publisher_turn.h"
#include "shortcut.h"
#include "slot.h"
#include "worker.h"

/* How long, in ms, what is published is waited for before leaving. */
#define FINISH_GRACE 1000

/*
 * In bytes: freed memory that is kept at the end of a heap, of which threads
 * have their own, and what is worth a mapping of its own.
 */
#define KEPT_MEMORY (32 * 1024 * 1024)
#define LARGE_PIECE (4 * 1024 * 1024)

/* How many records are read before the rest of the loop has its turn. */
#define READ_BATCH 512

/*
 * Before leaving: what is acknowledged is saved.  What is not is still in
 * WAL, so nothing is flushed and nobody waits for Kafka.
 */
static void
save_before_leaving(void)
{
	if (ev_publisher.decoding)
		ev_confirm_save();
}

/*
 * Whoever waits for us to be gone (our entry says when) wants the slot to be
 * free as well.
 */
static void
release_slot(int code, Datum arg)
{
	pg_atomic_write_u32(&ev_publisher.database->wal_is_kept, 0);
	ev_slot_release();
}

/* Reads some WAL.  False: there is no more. */
static bool
read_some(void)
{
	for (int i = 0; i < READ_BATCH; i++)
	{
		if (ev_delivery_full() || ev_delivery_failure() != NULL)
			return true;
		if (!ev_slot_read(ev_shortcut_decode))
			return false;
	}
	return true;
}

/*
 * Before leaving for who knows how long, and perhaps without the slot: what is
 * committed now is published and remembered, where that takes no time.
 */
static void
finish(void)
{
	EvInstant	start = ev_instant_now();

	ev_publisher_drain();
	ev_confirm_hurry_progress();
	while (ev_confirm_progress_pending() && ev_delivery_failure() == NULL &&
		   !ev_instant_passed(start, ev_instant_now(), FINISH_GRACE))
	{
		if (!read_some())
			ev_worker_wait();
		ev_publisher_turn();
	}
	ev_publisher_drain();
}

/* Publishes for ever. */
static void
publish(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "eventuate publisher turn",
												  ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		/* A transaction leaves us in another context. */
		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
		ev_publisher_turn();
		MemoryContextSwitchTo(context);
		if (ev_worker_restart_wanted())
		{
			finish();
			ev_worker_leave_and_come_back();
		}
		if (ev_delivery_failure() != NULL)
		{
			ev_worker_wait();
			continue;
		}
		ev_pace_flush_commits(ev_publisher.database);
		if (!read_some())
		{
			ev_delivery_flush();
			ev_pace_wait(ev_publisher.database);
		}
		else if (ev_delivery_full())
			ev_worker_wait();
	}
}

/*
 * Under load librdkafka takes and frees megabytes many times a second.  What of
 * that is at the end of the heap glibc gives back at once, and takes it again,
 * empty, a page at a time.
 */
static void
keep_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	/* To set one ends glibc's care for the other. */
	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE);
#endif
}

/* Entry point. */
void
ev_publisher_main(Datum main_arg)
{
	keep_memory();
	ev_publisher.database = ev_worker_start();
	before_shmem_exit(release_slot, (Datum) 0);
	ev_worker_before_leaving(save_before_leaving);
	PG_TRY();
	{
		ev_publisher_begin_turns();
		ev_publisher_start();
		publish();
	}
	PG_CATCH();
	{
		ev_worker_record_error();
		if (ev_slot_is_unreadable())
			pg_atomic_write_u32(&ev_publisher.database->slot_unreadable, 1);
		PG_RE_THROW();
	}
	PG_END_TRY();
}
