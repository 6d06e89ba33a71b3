/*-------------------------------------------------------------------------
 *
 * slot_list.c
 *	  The server's replication slots, as anybody can see them.
 *
 * Whose is the slot of a database, can it be gone on with, what does it cost?
 * Everything here looks into PostgreSQL's own shared memory, of whatever
 * process, and keeps nothing.  The one thing that it changes: slots of ours
 * that nobody will go on with are dropped.
 *
 * Promises: what is not ours - another plugin's, another database's, somebody's
 * temporary one - is never taken for ours, whatever its name.
 *
 * A restart is nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/slot.h"

#include "compat.h"
#include "slot_list.h"

/* The name of a database's slot; a static buffer. */
const char *
ev_slot_name(Oid database)
{
	static char name[NAMEDATALEN];

	snprintf(name, sizeof(name), "eventuate_%u", database);
	return name;
}

static EvSlotStatus
judge_slot(const ReplicationSlot *slot)
{
	if (slot->data.database != MyDatabaseId ||
		strcmp(NameStr(slot->data.plugin), "eventuate") != 0 ||
		slot->data.persistency == RS_TEMPORARY)
		return EV_SLOT_FOREIGN;
	if (slot->active_pid != 0 && slot->active_pid != MyProcPid)
		return EV_SLOT_BUSY;
	if (ev_slot_invalidated_compat(slot) ||
		XLogRecPtrIsInvalid(slot->data.restart_lsn))
		return EV_SLOT_LOST;
	return ev_slot_synced_compat(slot) ? EV_SLOT_SYNCED : EV_SLOT_GOOD;
}

/* What there is under the name of this database's slot. */
EvSlotStatus
ev_slot_status(void)
{
	const char *name = ev_slot_name(MyDatabaseId);
	EvSlotStatus status = EV_SLOT_MISSING;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use && strcmp(NameStr(slot->data.name), name) == 0)
		{
			SpinLockAcquire(&slot->mutex);
			status = judge_slot(slot);
			SpinLockRelease(&slot->mutex);
		}
	}
	LWLockRelease(ReplicationSlotControlLock);
	return status;
}

/*
 * What this database's slot costs, born or not.  False: there is none that is
 * ours, or none that holds anything.
 */
bool
ev_slot_burden(EvSlotBurden *burden)
{
	XLogRecPtr	end = GetFlushRecPtr(NULL);
	EvSlotStatus status = ev_slot_status();
	ReplicationSlot *slot;

	if (status != EV_SLOT_GOOD && status != EV_SLOT_SYNCED)
		return false;
	slot = SearchNamedReplicationSlot(ev_slot_name(MyDatabaseId), true);
	if (slot == NULL)
		return false;
	SpinLockAcquire(&slot->mutex);
	burden->restart_lsn = slot->data.restart_lsn;
	burden->confirmed = Max(slot->data.confirmed_flush, burden->restart_lsn);
	SpinLockRelease(&slot->mutex);
	burden->held = end > burden->restart_lsn ? end - burden->restart_lsn : 0;
	burden->unpublished = end > burden->confirmed ? end - burden->confirmed : 0;
	return true;
}

/* Has a database a slot by our name? */
bool
ev_slot_exists(Oid database)
{
	return SearchNamedReplicationSlot(ev_slot_name(database), true) != NULL;
}

/* Is there room for one more slot in this server? */
bool
ev_slot_available(void)
{
	bool		available = false;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && !available; i++)
		available = !ReplicationSlotCtl->replication_slots[i].in_use;
	LWLockRelease(ReplicationSlotControlLock);
	return available;
}

/* How many slots this server can have. */
int
ev_slot_limit(void)
{
	return max_replication_slots;
}

/* Is it the slot of a database's publisher, and was it made on this server? */
static bool
is_leftover(const ReplicationSlot *slot)
{
	return slot->in_use && slot->data.persistency == RS_PERSISTENT &&
		slot->active_pid == 0 && !ev_slot_synced_compat(slot) &&
		strcmp(NameStr(slot->data.plugin), "eventuate") == 0 &&
		strcmp(NameStr(slot->data.name), ev_slot_name(slot->data.database)) == 0;
}

/*
 * Drops the slots of ours that a standby has from its life as primary, or from
 * the server it was copied from: nobody will go on with them, since promotion
 * begins another timeline.  They would keep WAL, and the primary's slots from
 * being synchronized.
 */
void
ev_slot_drop_leftovers(void)
{
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		NameData	name;
		bool		leftover;

		LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
		leftover = is_leftover(slot);
		name = slot->data.name;
		LWLockRelease(ReplicationSlotControlLock);
		if (!leftover)
			continue;
		ReplicationSlotDrop(NameStr(name), true);
		ereport(LOG,
				(errmsg("dropped replication slot \"%s\", which was made before this server became a standby",
						NameStr(name))));
	}
}
