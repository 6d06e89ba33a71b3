/*-------------------------------------------------------------------------
 *
 * wal_limit.c
 *	  How much WAL the slot may hold back.
 *
 * While Kafka is away the slot keeps WAL, and nobody's disk is large enough
 * for a week of that.  Beyond eventuate.max_wal the slot is given up: what it
 * would have brought is in the tables, and is published from there.
 *
 * Promises: a slot is given up only for what waits to be published, not for
 * what a long transaction holds back, since a new slot would hold back the
 * same; nor one that brings messages which are in no table.
 *
 * Keeps nothing: after a restart the slot, or its absence, says it all.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "settings.h"
#include "shared.h"
#include "slot.h"
#include "slot_list.h"
#include "wal_limit.h"

#define MEGABYTE (UINT64CONST(1024) * 1024)

/*
 * Is there a message behind "lsn" that is in WAL alone, and in no table?  That
 * of a transaction which is still open is behind where a slot is to be read
 * from, though perhaps not behind where it is confirmed.
 */
bool
ev_wal_limit_irreplaceable(XLogRecPtr lsn)
{
	EvDatabase *database = ev_shared_find(MyDatabaseId);

	return database != NULL && pg_atomic_read_u64(&database->wal_message_lsn) > lsn;
}

/* Does the slot hold back too much?  Every way to give it up asks here. */
bool
ev_wal_limit_exceeded(void)
{
	EvSlotBurden burden;
	uint64		limit;

	if (ev_max_wal < 0 || !ev_slot_burden(&burden) ||
		ev_wal_limit_irreplaceable(burden.restart_lsn))
		return false;
	limit = ev_max_wal * MEGABYTE;
	return burden.held > limit && burden.unpublished > limit / 2;
}

/* Drops the slot.  Nobody may be reading it; not in a transaction. */
void
ev_wal_limit_give_up(void)
{
	EvSlotBurden burden;

	Assert(!ev_slot_is_held());
	if (!ev_slot_burden(&burden))
		return;
	ev_slot_drop();
	ereport(LOG,
			(errmsg("gave up replication slot \"%s\", which held back %llu MB of WAL",
					ev_slot_name(MyDatabaseId),
					(unsigned long long) (burden.held / MEGABYTE)),
			 errdetail("What was committed after %X/%X will be published from the tables.",
					   LSN_FORMAT_ARGS(burden.confirmed)),
			 errhint("See eventuate.max_wal.")));
}
