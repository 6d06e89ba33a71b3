/*-------------------------------------------------------------------------
 *
 * lineage.c
 *	  Of which cluster are the ids of transactions that we remember?
 *
 * The id of a transaction says something only in the cluster that gave it.  A
 * cluster has a system identifier; but pg_upgrade makes another cluster, with
 * another one, and brings tables and ids as they are.  So what is remembered
 * is marked with the identifier of the cluster where the extension was
 * created, which eventuate.progress keeps: pg_upgrade brings that table, a
 * dump does not.
 *
 * Promises: it is the same for as long as the extension is there, also over a
 * restart and pg_upgrade.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "lineage.h"
#include "own_table.h"

/* What the table's row says, whoever the user is. */
static uint64
read_row(Oid relid)
{
	Relation	relation = table_open(relid, AccessShareLock);
	AttrNumber	column = get_attnum(relid, "system");
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(relid));
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	uint64		lineage = GetSystemIdentifier();

	if (column != InvalidAttrNumber &&
		table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		lineage = (uint64) DatumGetInt64(slot_getattr(slot, column, &isnull));
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return lineage;
}

/*
 * The identifier of the cluster where the extension was created in this
 * database, or is being created.  Needs a transaction.
 */
uint64
ev_lineage(void)
{
	static Oid	known_relid = InvalidOid;
	static uint64 known = 0;
	Oid			schema = get_namespace_oid("eventuate", true);
	Oid			relid = OidIsValid(schema) ?
	get_relname_relid("progress", schema) : InvalidOid;

	if (OidIsValid(relid) && relid == known_relid)
		return known;
	if (!OidIsValid(relid) || ev_own_table("progress") != relid)
		return GetSystemIdentifier();
	known = read_row(relid);
	known_relid = relid;
	return known;
}
