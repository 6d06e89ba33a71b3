/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  What this database remembers of its publishing: table eventuate.progress.
 *
 * The slot knows the position in WAL; this row is what is left when the slot
 * is lost: a snapshot such that every message it sees is acknowledged by
 * Kafka.  It is stored now and then, behind the truth, never ahead of it.
 *
 * Every call here is a transaction of its own, unless it says otherwise: never
 * call one from a decoding callback, nor inside of another transaction.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "own_table.h"
#include "owner.h"
#include "progress.h"

/* The table as it was when last looked up. */
static Oid	progress_relid = InvalidOid;

/*
 * What we know of the row: as it was at first, or as we have stored it.  The
 * timeline is 0 if there is none, the snapshot is text.
 */
static TimeLineID known_timeline = 0;
static char *known_snapshot = NULL;

/* Something happened to the table (or may have) since it was loaded. */
static bool changed = false;

/* An invalidation comes of our own reset of the caches. */
static bool resetting = false;

/* Decoding leaves the past in the caches; our SQL wants the present. */
static void
reset_caches(void)
{
	resetting = true;
	InvalidateSystemCaches();
	resetting = false;
}

static void
begin(void)
{
	StartTransactionCommand();
	reset_caches();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end(void)
{
	PopActiveSnapshot();
	SPI_finish();
	reset_caches();
	CommitTransactionCommand();
}

static Datum
result_column(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
						 column, isnull);
}

/* Copies a pg_snapshot to memory that lasts as long as the process. */
static Datum
copy_snapshot(Datum snapshot)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	Datum		copy = PointerGetDatum(PG_DETOAST_DATUM_COPY(snapshot));

	MemoryContextSwitchTo(old_context);
	return copy;
}

/* What of the row says from where we would start again. */
static char *
format_snapshot(Datum snapshot)
{
	return DatumGetCString(DirectFunctionCall1(pg_snapshot_out, snapshot));
}

static void
remember(Datum snapshot, TimeLineID timeline)
{
	char	   *old_snapshot = known_snapshot;

	known_snapshot = MemoryContextStrdup(TopMemoryContext, format_snapshot(snapshot));
	known_timeline = timeline;
	if (old_snapshot != NULL)
		pfree(old_snapshot);
}

/* Replaces what was read before. */
static void
read_row(EvProgress *progress)
{
	Datum		old_snapshot = progress->snapshot;
	EvCommand	command = {"SELECT snapshot, timeline, database, paused, wal_messages FROM eventuate.progress"};
	bool		isnull;

	command.read_only = true;
	if (ev_own_execute(&command) != SPI_OK_SELECT)
		elog(ERROR, "could not read eventuate.progress");
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("table eventuate.progress has no row"),
				 errhint("Drop the extension and create it again.")));
	progress->snapshot = copy_snapshot(result_column(1, &isnull));
	progress->timeline = (TimeLineID) DatumGetInt64(result_column(2, &isnull));
	progress->recovering = !isnull && progress->timeline == 0;
	if (isnull)
		progress->timeline = 0;
	progress->database = DatumGetObjectId(result_column(3, &isnull));
	progress->paused = DatumGetBool(result_column(4, &isnull));
	progress->wal_messages = DatumGetBool(result_column(5, &isnull));
	if (known_snapshot == NULL)
		remember(progress->snapshot, progress->timeline);
	progress->replaced = progress->timeline != known_timeline ||
		strcmp(format_snapshot(progress->snapshot), known_snapshot) != 0;
	if (old_snapshot != (Datum) 0)
		pfree(DatumGetPointer(old_snapshot));
}

/*
 * Reads the row into "progress", which is all zeroes or what was read before.
 * False: the extension is not installed in this database.
 */
bool
ev_progress_load(EvProgress *progress)
{
	bool		found;

	begin();
	changed = false;
	progress_relid = ev_own_table("progress");
	found = OidIsValid(progress_relid);
	if (found)
		read_row(progress);
	end();
	return found;
}

/* The current transaction's snapshot; it lasts as long as the process. */
Datum
ev_progress_transaction_snapshot(void)
{
	Datum		snapshot;

	PushActiveSnapshot(GetTransactionSnapshot());
	snapshot = copy_snapshot(DirectFunctionCall1(pg_current_snapshot,
												 (Datum) 0));
	PopActiveSnapshot();
	return snapshot;
}

/*
 * The snapshot that is stored, in the caller's transaction and memory context,
 * whoever the user is; 0: there is none.
 */
Datum
ev_progress_stored_snapshot(void)
{
	EvCommand	command = {"SELECT snapshot FROM eventuate.progress"};
	MemoryContext context = CurrentMemoryContext;
	Datum		snapshot = (Datum) 0;
	EvOwner		saved;
	bool		isnull;

	ev_owner_assume(BOOTSTRAP_SUPERUSERID, &saved);
	SPI_connect();
	command.read_only = true;
	if (ev_own_execute(&command) == SPI_OK_SELECT && SPI_processed == 1)
	{
		snapshot = result_column(1, &isnull);
		MemoryContextSwitchTo(context);
		snapshot = PointerGetDatum(PG_DETOAST_DATUM_COPY(snapshot));
	}
	SPI_finish();
	ev_owner_resume(&saved);
	return snapshot;
}

/*
 * What is committed now, in a transaction of its own: it has no xid, so that
 * nothing of ours is in its way.
 */
Datum
ev_progress_current_snapshot(void)
{
	Datum		snapshot;

	StartTransactionCommand();
	snapshot = ev_progress_transaction_snapshot();
	CommitTransactionCommand();
	return snapshot;
}

/* Runs an UPDATE of the row, unless somebody else has it; was it updated? */
static bool
update_row(const EvCommand *command)
{
	Oid			relid;
	bool		updated = false;

	begin();
	relid = ev_own_table("progress");
	if (OidIsValid(relid) && ConditionalLockRelationOid(relid, RowExclusiveLock))
	{
		if (ev_own_execute(command) != SPI_OK_UPDATE)
			elog(ERROR, "could not update eventuate.progress");
		updated = SPI_processed == 1;
	}
	end();
	return updated;
}

/*
 * Remembers that everything that "snapshot" sees is acknowledged.  False: not
 * now, somebody else has the row locked (a pause that is not committed, say);
 * nobody may keep us from publishing with that.  Nor is the row touched if it
 * is not what we know, or have stored: then somebody wants us to start again
 * from it.
 */
bool
ev_progress_store(Datum snapshot, TimeLineID timeline)
{
	Oid			types[] = {PG_SNAPSHOTOID, INT8OID, INT8OID, TEXTOID};
	Datum		values[] = {snapshot, Int64GetDatum((int64) timeline),
	Int64GetDatum((int64) known_timeline), CStringGetTextDatum(known_snapshot)};
	EvCommand	command = {
		"WITH free AS MATERIALIZED (SELECT ctid FROM eventuate.progress"
		" WHERE coalesce(timeline, 0) = $3 AND snapshot::text = $4 FOR UPDATE SKIP LOCKED)"
		" UPDATE eventuate.progress AS p SET snapshot = $1, timeline = $2"
		" FROM free WHERE p.ctid = free.ctid",
		lengthof(types), types, values
	};

	if (!update_row(&command))
		return false;
	remember(snapshot, timeline);
	return true;
}

/*
 * Remembers, for good, that there are messages in WAL that are in no table.
 * False: not now, as above.
 */
bool
ev_progress_store_wal_messages(void)
{
	EvCommand	command = {
		"WITH free AS MATERIALIZED (SELECT ctid FROM eventuate.progress FOR UPDATE SKIP LOCKED)"
		" UPDATE eventuate.progress AS p SET wal_messages = true"
		" FROM free WHERE p.ctid = free.ctid"
	};

	return update_row(&command);
}

static void
note_change(Datum arg, Oid relid)
{
	if (!resetting && (relid == progress_relid || !OidIsValid(relid)))
		changed = true;
}

/* From now on ev_progress_changed() tells the truth. */
void
ev_progress_watch(void)
{
	CacheRegisterRelcacheCallback(note_change, (Datum) 0);
}

/*
 * May the table have been altered or dropped since it was loaded?  Outside of
 * a transaction only: it looks for news first.
 */
bool
ev_progress_changed(void)
{
	AcceptInvalidationMessages();
	return changed;
}
