/*-------------------------------------------------------------------------
 *
 * horizon.c
 *	  How far may WAL be read?
 *
 * The one place where "flushed" becomes "may be published".  What a failover
 * could take back must not be on Kafka: with synchronous replication WAL is
 * read as far as the synchronous standbys have flushed it, whatever a single
 * transaction asked for; from PostgreSQL 17 on also no further than the
 * standbys of synchronized_standby_slots have received it.
 *
 * Keeps nothing over a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "utils/guc.h"

#include "compat.h"
#include "horizon.h"
#include "shared.h"

/* For how long, in ms, standbys may be behind without our saying so. */
#define STALL_GRACE 1000

/* What the synchronous standbys have flushed; "end" if there are none. */
static XLogRecPtr
synchronous_end(XLogRecPtr end)
{
	XLogRecPtr	confirmed;

	if (max_wal_senders == 0 || SyncRepStandbyNames == NULL ||
		SyncRepStandbyNames[0] == '\0')
		return end;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	confirmed = WalSndCtl->lsn[SYNC_REP_WAIT_FLUSH];
	LWLockRelease(SyncRepLock);
	return Min(end, confirmed);
}

/*
 * What the standbys that may take over have received.  They are asked about
 * one position until they have it, then about the newest: under load the
 * newest itself is never there yet.
 */
static XLogRecPtr
failover_end(XLogRecPtr end)
{
	static XLogRecPtr reached = InvalidXLogRecPtr;
	static XLogRecPtr asked = InvalidXLogRecPtr;

	if (ev_standbys_have_compat(end))
		return reached = asked = end;
	if (asked <= reached || ev_standbys_have_compat(asked))
	{
		reached = Max(reached, asked);
		asked = end;
	}
	return Min(end, reached);
}

/*
 * A position without what is only the header of a page.  Where a page has just
 * been filled PostgreSQL says where the next record is to go, behind the
 * header of a page that is not there yet, which can be neither flushed nor
 * read.
 */
XLogRecPtr
ev_horizon_align(XLogRecPtr lsn)
{
	bool		first_page = lsn % wal_segment_size < XLOG_BLCKSZ;

	if (lsn % XLOG_BLCKSZ == (first_page ? SizeOfXLogLongPHD : SizeOfXLogShortPHD))
		lsn -= lsn % XLOG_BLCKSZ;
	return lsn;
}

/* The end of the newest record. */
XLogRecPtr
ev_horizon_inserted(void)
{
	return ev_horizon_align(GetXLogInsertRecPtr());
}

/* WAL may be read up to here.  Also tells the current timeline. */
XLogRecPtr
ev_horizon(TimeLineID *timeline)
{
	return failover_end(synchronous_end(GetFlushRecPtr(timeline)));
}

/* Is that all that is flushed, or do standbys hold it back? */
bool
ev_horizon_is_end(void)
{
	return ev_horizon(NULL) >= GetFlushRecPtr(NULL);
}

/* The setting that names the standbys without which WAL is not read on. */
static const char *
holding_setting(void)
{
	return ev_standbys_have_compat(GetFlushRecPtr(NULL)) ?
		"synchronous_standby_names" : "synchronized_standby_slots";
}

/*
 * Why it has not moved for a while although there is more; NULL: it has, or
 * there is not.  A static buffer.
 */
const char *
ev_horizon_explain(EvInstant now)
{
	static XLogRecPtr last = InvalidXLogRecPtr;
	static EvInstant moved_at = 0;
	static char reason[EV_ERROR_LENGTH];
	XLogRecPtr	horizon = ev_horizon(NULL);
	const char *setting;

	if (horizon != last || horizon >= GetFlushRecPtr(NULL))
	{
		last = horizon;
		moved_at = now;
	}
	if (now - moved_at < STALL_GRACE * INT64CONST(1000))
		return NULL;
	setting = holding_setting();
	snprintf(reason, sizeof(reason),
			 "standbys have not confirmed WAL that is flushed here: %s is \"%s\"",
			 setting, GetConfigOption(setting, true, false));
	return reason;
}
