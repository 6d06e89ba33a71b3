/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the PostgreSQL majors that we run on, 15 to 18.
 *
 * The only file that names PG_VERSION_NUM.  Call sites read as if there were
 * one PostgreSQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_COMPAT_H
#define EV_COMPAT_H

/* Before 18: an attribute behind the declaration, by another name. */
#ifndef pg_noreturn
#define pg_noreturn __attribute__((noreturn))
#endif

#ifndef FRONTEND

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "port/atomics.h"
#include "replication/logical.h"
#include "replication/message.h"
#include "replication/origin.h"
#include "replication/reorderbuffer.h"
#include "replication/slot.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

/* Before 16 part of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 170000
/* Raises an atomic number to at least "target"; a barrier in any case. */
static inline uint64
pg_atomic_monotonic_advance_u64(volatile pg_atomic_uint64 *ptr, uint64 target)
{
	uint64		current = pg_atomic_read_u64(ptr);

	pg_memory_barrier();
	while (current < target &&
		   !pg_atomic_compare_exchange_u64(ptr, &current, target))
		;
	return Max(current, target);
}
#endif

/* A transactional logical message; returns the end of it. */
static inline XLogRecPtr
ev_log_message_compat(const char *prefix, const char *content, size_t size)
{
#if PG_VERSION_NUM >= 170000
	return LogLogicalMessage(prefix, content, size, true, false);
#else
	return LogLogicalMessage(prefix, content, size, true);
#endif
}

/* Which file a relation's rows are in. */
#if PG_VERSION_NUM >= 160000
typedef RelFileLocator EvFileLocator;

#define ev_relation_locator_compat(relation) ((relation)->rd_locator)
#else
typedef RelFileNode EvFileLocator;

#define ev_relation_locator_compat(relation) ((relation)->rd_node)
#endif

/* A change for the reorder buffer, which owns it: a row was inserted. */
static inline ReorderBufferChange *
ev_change_insert_compat(ReorderBuffer *buffer, const EvFileLocator *locator,
						HeapTuple tuple)
{
	Size		length = tuple->t_len - SizeofHeapTupleHeader;
	HeapTuple	copy;
#if PG_VERSION_NUM >= 180000
	ReorderBufferChange *change = ReorderBufferAllocChange(buffer);
#else
	ReorderBufferChange *change = ReorderBufferGetChange(buffer);
#endif

#if PG_VERSION_NUM >= 180000
	change->data.tp.newtuple = ReorderBufferAllocTupleBuf(buffer, length);
	copy = change->data.tp.newtuple;
#elif PG_VERSION_NUM >= 170000
	change->data.tp.newtuple = ReorderBufferGetTupleBuf(buffer, length);
	copy = change->data.tp.newtuple;
#else
	change->data.tp.newtuple = ReorderBufferGetTupleBuf(buffer, length);
	copy = &change->data.tp.newtuple->tuple;
	copy->t_data = ReorderBufferTupleBufData(change->data.tp.newtuple);
#endif
#if PG_VERSION_NUM >= 160000
	change->data.tp.rlocator = *locator;
#else
	change->data.tp.relnode = *locator;
#endif
	change->action = REORDER_BUFFER_CHANGE_INSERT;
	change->origin_id = InvalidRepOriginId;
	change->data.tp.clear_toast_afterwards = true;
	copy->t_len = tuple->t_len;
	copy->t_tableOid = InvalidOid;
	ItemPointerSetInvalid(&copy->t_self);
	memcpy(copy->t_data, tuple->t_data, tuple->t_len);
	return change;
}

/* The new row of a decoded INSERT. */
static inline HeapTuple
ev_change_newtuple_compat(ReorderBufferChange *change)
{
#if PG_VERSION_NUM >= 170000
	return change->data.tp.newtuple;
#else
	return change->data.tp.newtuple ? &change->data.tp.newtuple->tuple : NULL;
#endif
}

/* Not persistent yet; where standbys can have a copy they do. */
static inline void
ev_slot_create_compat(const char *name)
{
#if PG_VERSION_NUM >= 170000
	ReplicationSlotCreate(name, true, RS_EPHEMERAL, false, true, false);
#else
	ReplicationSlotCreate(name, true, RS_EPHEMERAL, false);
#endif
}

static inline void
ev_slot_acquire_compat(const char *name)
{
#if PG_VERSION_NUM >= 180000
	ReplicationSlotAcquire(name, true, true);
#else
	ReplicationSlotAcquire(name, true);
#endif
}

/* Is the slot a standby's copy of a failover slot, fit for use here? */
static inline bool
ev_slot_synced_compat(const ReplicationSlot *slot)
{
#if PG_VERSION_NUM >= 170000
	return slot->data.synced;
#else
	return false;
#endif
}

/*
 * Have the standbys of synchronized_standby_slots all WAL up to "lsn"?  Also
 * asked before there is a slot of ours to wait for them.
 */
static inline bool
ev_standbys_have_compat(XLogRecPtr lsn)
{
#if PG_VERSION_NUM >= 170000
	return StandbySlotsHaveCaughtup(lsn, DEBUG1);
#else
	return true;
#endif
}

/* Is the column computed whenever it is read, and never stored? */
static inline bool
ev_attribute_is_virtual_compat(const FormData_pg_attribute *attribute)
{
#if PG_VERSION_NUM >= 180000
	return attribute->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
#endif
}

static inline bool
ev_slot_invalidated_compat(const ReplicationSlot *slot)
{
#if PG_VERSION_NUM >= 160000
	return slot->data.invalidated != RS_INVAL_NONE;
#else
	return slot->data.invalidated_at != InvalidXLogRecPtr;
#endif
}

/* A set that lives as long as the process. */
static inline WaitEventSet *
ev_create_wait_event_set_compat(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

static inline bool
ev_database_ownercheck_compat(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

static inline bool
ev_extension_ownercheck_compat(Oid extension, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(ExtensionRelationId, extension, role);
#else
	return pg_extension_ownercheck(extension, role);
#endif
}

static inline bool
ev_class_ownercheck_compat(Oid relid, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relid, role);
#else
	return pg_class_ownercheck(relid, role);
#endif
}

#endif							/* !FRONTEND */

#endif							/* EV_COMPAT_H */
