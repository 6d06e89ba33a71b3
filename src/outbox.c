/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  Which tables are outboxes, and what their columns are to us.
 *
 * A table is an outbox by its security label of provider "eventuate", a JSON
 * object such as {"format": "eventuate"} (outbox_label.c).  Labels live in a
 * system catalog: they can be read under the historic snapshot of decoding,
 * are dumped and dropped with the table.  A partition has the label of the
 * table that it is a partition of.  Only a superuser, an extension script and
 * eventuate_attach() may set one, since everything that is written to an
 * outbox leaves the server.
 *
 * Nothing here survives a restart; what is known of tables is a cache, which
 * relcache invalidations keep true.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_seclabel.h"
#include "commands/extension.h"
#include "commands/seclabel.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "outbox.h"
#include "shared_outbox.h"

typedef struct OutboxEntry
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		is_outbox;
	MemoryContext context;		/* of what the outbox points to; or NULL */
	EvOutbox	outbox;
} OutboxEntry;

static HTAB *outboxes = NULL;

/* Counts invalidations: one may come while a table is looked up. */
static uint64 invalidations = 0;

/* ---------------------------------------------------------------------
 * Labels
 * ---------------------------------------------------------------------
 */

/* The relation, and every partition of it. */
static void
invalidate(Oid relid)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
		CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
}

/*
 * Labels a table, whoever the user is: the caller has made sure that this is
 * right.  A label by itself sends no invalidation; whoever decodes needs one.
 */
void
ev_outbox_set_label(Oid relid, const char *label)
{
	ObjectAddress address = {RelationRelationId, relid, 0};

	SetSecurityLabel(&address, "eventuate", label);
	invalidate(relid);
	CommandCounterIncrement();
	if (ev_outbox_is_polled(relid))
		ev_shared_outbox_poll_at_commit(relid);
}

/* Can rows of such a relation be had in the way that the label says? */
bool
ev_outbox_is_readable(Oid relid, EvReader reader)
{
	char		kind = get_rel_relkind(relid);

	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		return false;
	if (reader == EV_READER_POLLING)
		return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE ||
			kind == RELKIND_FOREIGN_TABLE || kind == RELKIND_VIEW;
	return get_rel_persistence(relid) == RELPERSISTENCE_PERMANENT &&
		(kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE);
}

/* SECURITY LABEL FOR eventuate: who may, on what, and what it may say. */
static void
check_label(const ObjectAddress *object, const char *text)
{
	EvLabel		label;
	const char *reason;

	if (!superuser() && !creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set a label of provider \"eventuate\""),
				 errdetail("The label makes a table an outbox, whose rows are published to Kafka."),
				 errhint("The owner of a table may call eventuate_attach(), if that is granted.")));
	if (object->classId == RelationRelationId)
		invalidate(object->objectId);
	if (text == NULL)
		return;
	if (!ev_label_parse(text, &label, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid label of provider \"eventuate\": \"%s\"", text),
				 errdetail("In the label %s.", reason),
				 errhint("Call eventuate_attach(), or write a JSON object such as {\"format\": \"eventuate\"}.")));
	if (object->classId != RelationRelationId || object->objectSubId != 0 ||
		!ev_outbox_is_readable(object->objectId, label.reader))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("only a table can have a label of provider \"eventuate\""),
				 errdetail("Views, foreign, unlogged and temporary tables cannot be read from the write-ahead log.")));
	if (label.reader == EV_READER_POLLING)
		ev_shared_outbox_poll_at_commit(object->objectId);
}


/* The tables that are labelled as outboxes.  Needs a transaction. */
List *
ev_outbox_list(void)
{
	List	   *tables = NIL;
	Relation	labels = table_open(SecLabelRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(labels, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		FormData_pg_seclabel *label = (FormData_pg_seclabel *) GETSTRUCT(tuple);
		bool		isnull;
		Datum		provider = heap_getattr(tuple, Anum_pg_seclabel_provider,
											RelationGetDescr(labels), &isnull);

		if (label->classoid == RelationRelationId && label->objsubid == 0 &&
			strcmp(TextDatumGetCString(provider), "eventuate") == 0)
			tables = lappend_oid(tables, label->objoid);
	}
	systable_endscan(scan);
	table_close(labels, AccessShareLock);
	return tables;
}

/* Is the outbox one whose rows are polled, now? */
bool
ev_outbox_is_polled(Oid relid)
{
	ObjectAddress address = {RelationRelationId, relid, 0};
	const char *text = GetSecurityLabel(&address, "eventuate");
	const char *reason;
	EvLabel		label;

	return text != NULL && ev_label_parse(text, &label, &reason) &&
		label.reader == EV_READER_POLLING && ev_label_is_attached(&label);
}

/*
 * Sees to it that this database's outboxes are polled that are to be, and
 * forgets what is none anymore.  Needs a transaction.
 */
void
ev_outbox_register(void)
{
	List	   *tables = ev_outbox_list();
	EvOutboxEntry *outbox;
	ListCell   *cell;

	for (int i = 0; (outbox = ev_shared_outbox_entry(i)) != NULL; i++)
	{
		if (outbox->datid == MyDatabaseId &&
			!list_member_oid(tables, outbox->relid))
			ev_shared_outbox_remove(outbox);
	}
	foreach(cell, tables)
	{
		if (ev_outbox_is_polled(lfirst_oid(cell)))
			ev_shared_outbox_poll(lfirst_oid(cell));
	}
}

/* ---------------------------------------------------------------------
 * The cache of what is known of each table
 * ---------------------------------------------------------------------
 */

static void
forget_table(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	OutboxEntry *entry;

	invalidations++;
	if (OidIsValid(relid))
	{
		entry = hash_search(outboxes, &relid, HASH_FIND, NULL);
		if (entry != NULL)
			entry->valid = false;
		return;
	}
	hash_seq_init(&scan, outboxes);
	while ((entry = hash_seq_search(&scan)) != NULL)
		entry->valid = false;
}

static void
create_cache(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(OutboxEntry);
	ctl.hcxt = CacheMemoryContext;
	outboxes = hash_create("eventuate outboxes", 64, &ctl,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
}

/* The label of a table, or of the nearest ancestor that has one; or NULL. */
static char *
find_label(Oid relid, bool is_partition, Oid *owner)
{
	ObjectAddress address = {RelationRelationId, relid, 0};
	char	   *label = GetSecurityLabel(&address, "eventuate");
	ListCell   *cell;

	*owner = relid;
	if (label != NULL || !is_partition)
		return label;
	foreach(cell, get_partition_ancestors(relid))
	{
		*owner = address.objectId = lfirst_oid(cell);
		label = GetSecurityLabel(&address, "eventuate");
		if (label != NULL)
			return label;
	}
	return NULL;
}

/* The label, of its own or of an ancestor, of a table that is attached. */
static bool
find_attached(Oid relid, EvLabel *label)
{
	const char *reason;
	Oid			owner;
	char	   *text = find_label(relid, get_rel_relispartition(relid), &owner);

	return text != NULL && ev_label_parse(text, label, &reason) &&
		ev_label_is_attached(label);
}

/* Are the table's rows messages? */
bool
ev_outbox_is_attached(Oid relid)
{
	EvLabel		label;

	return find_attached(relid, &label);
}

/* Are they read in the write-ahead log? */
bool
ev_outbox_needs_wal(Oid relid)
{
	EvLabel		label;

	return find_attached(relid, &label) && label.reader == EV_READER_WAL;
}

/*
 * A table that rows of a partitioned one may go to and that is not in the
 * write-ahead log; InvalidOid: there is none.
 */
Oid
ev_outbox_unreadable_partition(Oid relid)
{
	ListCell   *cell;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return ev_outbox_is_readable(relid, EV_READER_WAL) ? InvalidOid : relid;
	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		if (!ev_outbox_is_readable(lfirst_oid(cell), EV_READER_WAL))
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/* The N of Tram's tables message0..N; 0 for any other. */
static int
shard_of(Oid relid)
{
	const char *name = get_rel_name(relid);
	const char *digits;

	if (name == NULL || strncmp(name, "message", strlen("message")) != 0)
		return 0;
	digits = name + strlen("message");
	if (*digits == '\0' ||
		strlen(digits) > 4 || strspn(digits, "0123456789") != strlen(digits))
		return 0;
	return atoi(digits);
}

/* Looks a table up in the catalogs; may be under a historic snapshot. */
static void
load_entry(OutboxEntry *entry, Relation relation)
{
	MemoryContext old_context;
	const char *reason;
	uint64		before = invalidations;
	char	   *label;
	Oid			owner;

	if (entry->context != NULL)
		MemoryContextDelete(entry->context);
	entry->context = NULL;
	entry->is_outbox = false;
	label = find_label(RelationGetRelid(relation),
					   relation->rd_rel->relispartition, &owner);
	if (label != NULL)
	{
		entry->context = AllocSetContextCreate(CacheMemoryContext,
											   "eventuate outbox",
											   ALLOCSET_SMALL_SIZES);
		old_context = MemoryContextSwitchTo(entry->context);
		memset(&entry->outbox, 0, sizeof(EvOutbox));
		entry->outbox.relid = owner;
		entry->outbox.shard = shard_of(owner);
		entry->is_outbox = ev_label_parse(label, &entry->outbox.label, &reason);
		if (entry->is_outbox)
			ev_outbox_map_columns(&entry->outbox, RelationGetDescr(relation));
		MemoryContextSwitchTo(old_context);
	}
	entry->valid = before == invalidations;
}

/*
 * What an outbox table is made of; NULL if the table is none.  Needs a
 * transaction.  The result is good until the next invalidation.
 */
const EvOutbox *
ev_outbox_find(Relation relation)
{
	Oid			relid = RelationGetRelid(relation);
	OutboxEntry *entry;
	bool		found;

	if (outboxes == NULL)
		create_cache();
	entry = hash_search(outboxes, &relid, HASH_ENTER, &found);
	if (!found)
	{
		entry->valid = false;
		entry->context = NULL;
	}
	if (!entry->valid)
		load_entry(entry, relation);
	return entry->is_outbox ? &entry->outbox : NULL;
}

/*
 * Changes whenever something that ev_outbox_find() has returned may not be true
 * anymore.
 */
uint64
ev_outbox_generation(void)
{
	return invalidations;
}

/* Called once, by _PG_init. */
void
ev_outbox_init(void)
{
	register_label_provider("eventuate", check_label);
}
