/*-------------------------------------------------------------------------
 *
 * housekeeper.c
 *	  The background worker that tidies up, now and then.
 *
 * Long SQL is not for the publisher.  So a process of its own deletes what was
 * published long ago (clean.c), and leaves; the launcher starts it again after
 * a while, if there was anything published meanwhile or if rows are left.
 *
 * An error, such as a lock that cannot be had, ends the process; the launcher
 * starts another, later and later.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "clean.h"
#include "housekeeper.h"
#include "progress.h"
#include "worker.h"

static List *
list_tables(MemoryContext context)
{
	List	   *cleanings;
	List	   *copy = NIL;
	ListCell   *cell;

	StartTransactionCommand();
	cleanings = ev_clean_list();
	MemoryContextSwitchTo(context);
	foreach(cell, cleanings)
	{
		EvCleaning *cleaning = palloc(sizeof(EvCleaning));

		*cleaning = *(EvCleaning *) lfirst(cell);
		copy = lappend(copy, cleaning);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return copy;
}

/* When, from now, is there something to delete again?  In ms. */
static int64
next_interval(List *cleanings)
{
	int64		least = EV_CLEAN_IDLE;
	ListCell   *cell;

	foreach(cell, cleanings)
		least = Min(least, ev_clean_interval(((EvCleaning *) lfirst(cell))->retention));
	return least;
}

/* Deletes what is old.  True: rows are left. */
static bool
clean(List *cleanings)
{
	EvProgress	progress = {0};
	bool		left = false;
	ListCell   *cell;

	if (!ev_progress_load(&progress) || progress.database != MyDatabaseId)
		return false;
	foreach(cell, cleanings)
		left |= ev_clean_table((EvCleaning *) lfirst(cell), progress.snapshot);
	return left;
}

static void
run(EvDatabase *database)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "eventuate housekeeper",
												  ALLOCSET_DEFAULT_SIZES);
	List	   *cleanings;
	uint64		messages;
	bool		left;

	SpinLockAcquire(&database->mutex);
	messages = database->messages;
	SpinLockRelease(&database->mutex);
	cleanings = list_tables(context);
	left = clean(cleanings);
	SpinLockAcquire(&database->mutex);
	database->clean_at = ev_instant_now() + next_interval(cleanings) * INT64CONST(1000);
	database->clean_messages = messages;
	database->clean_left = left;
	SpinLockRelease(&database->mutex);
}

/* Entry point. */
void
ev_housekeeper_main(Datum main_arg)
{
	EvDatabase *database = ev_worker_start();

	PG_TRY();
	{
		run(database);
	}
	PG_CATCH();
	{
		ev_worker_record_error();
		PG_RE_THROW();
	}
	PG_END_TRY();
	ev_worker_leave();
}
