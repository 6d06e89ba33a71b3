/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  The replication slot: create, read, confirm.
 *
 * Owns the decoding context of this process, and with it the position in WAL.
 * Nothing here waits: where WAL ends, reading says so, and the publisher's one
 * wait decides what to do.
 *
 * Promises: what is confirmed never moves back; a slot that is not persistent
 * yet vanishes with the process; WAL is read no further than
 * ev_horizon().
 *
 * A restart goes on at the confirmed position that was saved last: every
 * transaction whose commit ends after it is decoded again, whole.
 *
 * A slot's birth can take long: it becomes consistent only when all
 * transactions that were running, in any database, have ended.  PostgreSQL
 * would wait for them inside a lock; ev_slot_birth_step() looks first and
 * comes back instead, so that the publisher can do other things meanwhile.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/rmgr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecord.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "replication/decode.h"
#include "replication/logical.h"
#include "replication/reorderbuffer.h"
#include "replication/slot.h"
#include "replication/snapbuild.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/standby.h"
#include "storage/standbydefs.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "horizon.h"
#include "slot.h"
#include "slot_list.h"
#include "slot_pages.h"

#define PLUGINS_SETTING "output_plugin_libraries"

static LogicalDecodingContext *decoding = NULL;

/* The readable end of WAL when reading last found nothing more. */
static XLogRecPtr exhausted_at = InvalidXLogRecPtr;

/* Birth: a running-xacts record was read and waits to be processed. */
static bool record_held_back = false;

/* Do we have the slot, born or not? */
bool
ev_slot_is_held(void)
{
	return MyReplicationSlot != NULL;
}

/* Lets the slot go, if we have it; one that is not persistent vanishes. */
void
ev_slot_release(void)
{
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
	decoding = NULL;
}

/* Drops this database's slot, if it is ours and nobody else reads it. */
void
ev_slot_drop(void)
{
	EvSlotStatus status;

	ev_slot_release();
	status = ev_slot_status();
	if (status == EV_SLOT_GOOD || status == EV_SLOT_LOST ||
		status == EV_SLOT_SYNCED)
		ReplicationSlotDrop(ev_slot_name(MyDatabaseId), true);
}

/*
 * Reads one page of WAL for the reader; -1 where it is not there yet, which
 * makes XLogReadRecord() return nothing, and be tried again later.
 */
static int
read_page(XLogReaderState *state, XLogRecPtr page, int needed,
		  XLogRecPtr target, char *buffer)
{
	TimeLineID	timeline;
	XLogRecPtr	end = ev_horizon(&timeline);

	XLogReadDetermineTimeline(state, page, needed, timeline);
	if (state->currTLI != timeline)
	{
		/* A timeline that ended: its end is where ours branched off. */
		end = state->currTLIValidUntil;
		timeline = state->currTLI;
	}
	if (page + needed > end)
	{
		exhausted_at = end;
		return -1;
	}

	ev_slot_pages_read(state, page, end, timeline, buffer);
	return Min(XLOG_BLCKSZ, end - page);
}

/*
 * From the minors of August 2026 on only plugins that are listed may decode;
 * older servers do not know the setting.  Nobody but this process, and those
 * that it starts, is affected.
 */
static void
list_plugins(const char *plugins)
{
	SetConfigOption(PLUGINS_SETTING, plugins, PGC_SUSET, PGC_S_OVERRIDE);
}

static void
allow_plugin(void)
{
	if (GetConfigOption(PLUGINS_SETTING, true, false) != NULL)
		list_plugins("eventuate");
}

/*
 * Lets pg_upgrade make slots like those of the old server, which are ours and
 * others'.  Called by _PG_init, in pg_upgrade's servers only.
 */
void
ev_slot_allow_upgrade(void)
{
	const char *listed = GetConfigOption(PLUGINS_SETTING, true, false);

	if (listed != NULL)
		list_plugins(psprintf("%s%seventuate", listed, listed[0] ? ", " : ""));
}

static XLogReaderRoutine reader_routine = {
	.page_read = read_page,
	.segment_open = wal_segment_open,
	.segment_close = wal_segment_close
};

/*
 * Ordinary transactions come and go one at a time, and PostgreSQL before 16
 * gives memory for them back with each.  With one piece in use it stays.
 */
static void
keep_memory_of_transactions(void)
{
	(void) MemoryContextAlloc(decoding->reorder->txn_context, sizeof(ReorderBufferTXN));
}

static void
begin_to_read(void)
{
	ev_slot_pages_forget();
	XLogBeginRead(decoding->reader, MyReplicationSlot->data.restart_lsn);
}

/*
 * Acquires the slot and starts to decode behind the confirmed position, or
 * behind "start" if that is ahead of it.  Call it outside of a transaction.
 */
void
ev_slot_open(XLogRecPtr start)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	Assert(MyReplicationSlot == NULL && !IsTransactionState());
	allow_plugin();
	CheckLogicalDecodingRequirements();
	ev_slot_acquire_compat(ev_slot_name(MyDatabaseId));

	/*
	 * Inside a transaction the process is not flagged as decoding.  With the
	 * flag vacuum would ignore our xmin, also while we read tables.
	 */
	StartTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
	decoding = CreateDecodingContext(start, NIL, false,
									 &reader_routine, NULL, NULL, NULL);
	CommitTransactionCommand();
	MemoryContextSwitchTo(old_context);
	keep_memory_of_transactions();
	begin_to_read();

	/* What the caches hold is of now; decoding looks at the past. */
	InvalidateSystemCaches();
}

/*
 * The next record, or NULL at the readable end.  The reader allocates its
 * buffers when it first needs them, to keep.
 */
static XLogRecord *
next_record(void)
{
	MemoryContext old_context = MemoryContextSwitchTo(decoding->context);
	char	   *error = NULL;
	XLogRecord *record = XLogReadRecord(decoding->reader, &error);

	MemoryContextSwitchTo(old_context);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read WAL at %X/%X: %s",
						LSN_FORMAT_ARGS(decoding->reader->EndRecPtr), error)));
	return record;
}

/*
 * Reads one record and has it decoded.  False: nothing readable was left.
 */
bool
ev_slot_read(void (*decode) (LogicalDecodingContext *decoding))
{
	if (next_record() == NULL)
		return false;
	decode(decoding);
	return true;
}

/*
 * For a PG_CATCH block: is it an error that the slot would meet again and again?
 * ALTER DATABASE ... SET TABLESPACE moves files to another directory, and of a
 * change that names the old one PostgreSQL cannot tell the table.
 */
bool
ev_slot_is_unreadable(void)
{
	static const char *const text = "could not map file";	/* -node, -number */
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	ErrorData  *error = CopyErrorData();

	MemoryContextSwitchTo(old_context);
	return decoding != NULL && error->sqlerrcode == ERRCODE_INTERNAL_ERROR &&
		strncmp(error->message_id, text, strlen(text)) == 0;
}

/* Everything that ends at or before this position has been decoded. */
XLogRecPtr
ev_slot_position(void)
{
	return decoding->reader->EndRecPtr;
}

/*
 * Was all that may be read there when reading last came to the end?  (The end
 * can lie inside a record, so the position itself does not tell.)
 */
bool
ev_slot_caught_up(void)
{
	return exhausted_at == ev_horizon(NULL);
}

/* Where the slot is confirmed. */
XLogRecPtr
ev_slot_confirmed(void)
{
	return MyReplicationSlot->data.confirmed_flush;
}

/*
 * Everything up to "lsn" is safe.  In memory; what it sets free of WAL is
 * free at once, since foreign WAL must never pile up behind an idle outbox.
 */
void
ev_slot_confirm(XLogRecPtr lsn)
{
	XLogRecPtr	restart_lsn = MyReplicationSlot->data.restart_lsn;

	Assert(lsn <= ev_slot_position());
	LogicalConfirmReceivedLocation(lsn);
	if (restart_lsn != MyReplicationSlot->data.restart_lsn)
		ReplicationSlotsComputeRequiredLSN();
}

/* Saves the slot to disk: what a restart will know. */
void
ev_slot_save(void)
{
	ReplicationSlotMarkDirty();
	ReplicationSlotSave();
}

/* ---------------------------------------------------------------------
 * Birth
 * ---------------------------------------------------------------------
 */

/*
 * Creates the slot, not persistent yet, and begins the search for its
 * consistent point.  Call it outside of a transaction.
 */
void
ev_slot_begin_birth(void)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	Assert(MyReplicationSlot == NULL && !IsTransactionState());
	allow_plugin();
	CheckLogicalDecodingRequirements();
	ev_slot_create_compat(ev_slot_name(MyDatabaseId));

	/* In a transaction for the same reason as in ev_slot_open(). */
	StartTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
	decoding = CreateInitDecodingContext("eventuate", NIL, true,
										 InvalidXLogRecPtr, &reader_routine,
										 NULL, NULL, NULL);
	CommitTransactionCommand();
	MemoryContextSwitchTo(old_context);
	begin_to_read();
	record_held_back = false;
}

/* Begins anew from here: WAL that was held back so far is free. */
void
ev_slot_begin_birth_again(void)
{
	FreeDecodingContext(decoding);
	ev_slot_release();
	ev_slot_begin_birth();
}

static bool
is_running_xacts(XLogReaderState *reader)
{
	return XLogRecGetRmid(reader) == RM_STANDBY_ID &&
		(XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == XLOG_RUNNING_XACTS;
}

/* One of the record's transactions that still runs, or invalid. */
static TransactionId
still_running(XLogReaderState *reader)
{
	xl_running_xacts *running = (xl_running_xacts *) XLogRecGetData(reader);

	for (int i = 0; i < running->xcnt; i++)
	{
		if (TransactionIdIsInProgress(running->xids[i]))
			return running->xids[i];
	}
	return InvalidTransactionId;
}

/*
 * Goes on with the search as far as that needs no waiting.  True: the slot is
 * consistent.  False: not yet; "blocker" is a transaction that must end first,
 * if one is known.
 *
 * PostgreSQL waits for the transactions of a record only until its snapshot is
 * full.  A later record is processed at once, also the one that we ask for
 * ourselves: it may be the consistent point, and what the caller publishes
 * from the tables after that, decoding brings again.
 */
bool
ev_slot_birth_step(TransactionId *blocker)
{
	bool		asked = false;

	*blocker = InvalidTransactionId;
	while (!DecodingContextReady(decoding))
	{
		CHECK_FOR_INTERRUPTS();
		if (!record_held_back && next_record() == NULL)
		{
			if (asked)
				return false;
			XLogFlush(LogStandbySnapshot());
			asked = true;
			continue;
		}
		if (is_running_xacts(decoding->reader))
			*blocker = still_running(decoding->reader);
		record_held_back = is_running_xacts(decoding->reader) &&
			TransactionIdIsValid(*blocker) &&
			SnapBuildCurrentState(decoding->snapshot_builder) < SNAPBUILD_FULL_SNAPSHOT;
		if (record_held_back)
			return false;
		LogicalDecodingProcessRecord(decoding, decoding->reader);
	}
	return true;
}

static bool
listed(TransactionId xid, const TransactionId *xids, uint32 count)
{
	for (uint32 i = 0; i < count; i++)
	{
		if (xids[i] == xid)
			return true;
	}
	return false;
}

/*
 * A transaction that is committed in WAL but not yet in the view of others
 * (it may wait for its synchronous standby) is committed to this snapshot;
 * what it wrote is seen only once it is out of the list of running ones.
 */
static void
wait_for_committed(Snapshot snapshot, EvWaitCallback wait)
{
	TransactionId xid = snapshot->xmin;

	while (TransactionIdPrecedes(xid, snapshot->xmax))
	{
		while (!listed(xid, snapshot->xip, snapshot->xcnt) &&
			   TransactionIdIsInProgress(xid))
			wait();
		TransactionIdAdvance(xid);
	}
}

/*
 * Makes the new slot's own snapshot this transaction's: it sees exactly what
 * decoding will not bring.  Call it first thing in a transaction.
 */
void
ev_slot_import_snapshot(EvWaitCallback wait)
{
	Snapshot	snapshot;

	Assert(DecodingContextReady(decoding));
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	InvalidateCatalogSnapshot();
	snapshot = SnapBuildInitialSnapshot(decoding->snapshot_builder);
	wait_for_committed(snapshot, wait);
	RestoreTransactionSnapshot(snapshot, MyProc);
}

/*
 * Everything that the snapshot saw is acknowledged: the slot may outlive this
 * process.  Releases it; ev_slot_open() takes it again.
 */
void
ev_slot_finish_birth(void)
{
	ReplicationSlot *slot = MyReplicationSlot;

	SpinLockAcquire(&slot->mutex);
	slot->data.confirmed_flush = decoding->reader->EndRecPtr;
	SpinLockRelease(&slot->mutex);
	FreeDecodingContext(decoding);
	decoding = NULL;
	ReplicationSlotPersist();
	ReplicationSlotRelease();
}
