/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  Which tables are outboxes, and what their columns are to us.
 *
 * A table is an outbox by its security label of provider "eventuate", a JSON
 * object such as {"format": "eventuate"}.  Labels live in a system catalog:
 * they can be read under the historic snapshot of decoding, are dumped and
 * dropped with the table.  Only a superuser or an extension script may set
 * one, since everything that is written to an outbox leaves the server.
 *
 * Nothing here survives a restart; what is known of tables is a cache, which
 * relcache invalidations keep true.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/seclabel.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "outbox.h"

typedef struct OutboxEntry
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		is_outbox;
	EvOutbox	outbox;
} OutboxEntry;

static HTAB *outboxes = NULL;

/* Names of the columns, by format; NULL: the format has none. */
static const char *const column_names[][EV_COLUMN_COUNT] = {
	[EV_FORMAT_EVENTUATE] = {"id", "destination", "headers", "payload",
	"published", "txid", NULL, NULL, NULL},
	[EV_FORMAT_RECORD] = {"id", "topic", "headers", "value",
	NULL, "txid", "key", "partition", "record_time"},
};

static const char *const format_names[] = {
	[EV_FORMAT_EVENTUATE] = "eventuate",
	[EV_FORMAT_RECORD] = "record",
};

/* ---------------------------------------------------------------------
 * Labels
 * ---------------------------------------------------------------------
 */

/* The format that a label names; false if it names none. */
static bool
label_format(const char *label, EvFormat *format)
{
	Jsonb	   *object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
															CStringGetDatum(label)));
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(object) ||
		getKeyJsonValueFromContainer(&object->root, "format",
									 strlen("format"), &value) == NULL ||
		value.type != jbvString)
		return false;
	for (int i = 0; i < lengthof(format_names); i++)
	{
		if (strlen(format_names[i]) == value.val.string.len &&
			memcmp(format_names[i], value.val.string.val,
				   value.val.string.len) == 0)
		{
			*format = (EvFormat) i;
			return true;
		}
	}
	return false;
}

/* Can the table's rows be read from WAL by its own name? */
static bool
can_be_outbox(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_RELATION &&
		get_rel_persistence(relid) == RELPERSISTENCE_PERMANENT;
}

/* SECURITY LABEL FOR eventuate: who may, on what, and what it may say. */
static void
check_label(const ObjectAddress *object, const char *label)
{
	EvFormat	format;
	Oid			relid = object->objectId;

	if (!superuser() && !creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set a label of provider \"eventuate\""),
				 errdetail("The label makes a table an outbox, whose rows are published to Kafka.")));

	/* A label by itself sends no invalidation; whoever decodes needs one. */
	if (object->classId == RelationRelationId)
		CacheInvalidateRelcacheByRelid(relid);
	if (label == NULL)
		return;
	if (object->classId != RelationRelationId || object->objectSubId != 0 ||
		!can_be_outbox(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("only an ordinary table can have a label of provider \"eventuate\""),
				 errdetail("Views, foreign, partitioned, unlogged and temporary tables cannot be read from the write-ahead log by that name.")));
	if (!label_format(label, &format))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid label of provider \"eventuate\": \"%s\"", label),
				 errhint("Write a JSON object with a known format, such as {\"format\": \"eventuate\"}.")));
}

/* Is the table labelled as an outbox? */
bool
ev_outbox_is_labelled(Oid relid)
{
	ObjectAddress address = {RelationRelationId, relid, 0};

	return GetSecurityLabel(&address, "eventuate") != NULL;
}

/*
 * Labels a table as an outbox, whoever the user is: the caller has made sure
 * that this is right.  False: the table cannot be one.
 */
bool
ev_outbox_label(Oid relid, EvFormat format)
{
	ObjectAddress address = {RelationRelationId, relid, 0};
	char	   *label = psprintf("{\"format\": \"%s\"}", format_names[format]);

	if (!can_be_outbox(relid))
		return false;
	SetSecurityLabel(&address, "eventuate", label);
	CacheInvalidateRelcacheByRelid(relid);
	CommandCounterIncrement();
	pfree(label);
	return true;
}

/* ---------------------------------------------------------------------
 * The cache of what is known of each table
 * ---------------------------------------------------------------------
 */

/* Fills in which column is which, or why the table cannot be read. */
static void
map_columns(EvOutbox *outbox, TupleDesc desc)
{
	for (int column = 0; column < EV_COLUMN_COUNT; column++)
	{
		const char *name = column_names[outbox->format][column];

		for (int i = 0; name != NULL && i < desc->natts; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(desc, i);

			if (!attribute->attisdropped &&
				strcmp(NameStr(attribute->attname), name) == 0)
			{
				outbox->columns[column] = attribute->attnum;
				outbox->types[column] = attribute->atttypid;
			}
		}
	}
}

static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == JSONOID ||
		type == JSONBOID;
}

/* Why no row of the table can be a message, or NULL. */
static const char *
find_problem(const EvOutbox *outbox)
{
	const Oid  *types = outbox->types;
	bool		record = outbox->format == EV_FORMAT_RECORD;

	if (!is_text(types[EV_COLUMN_ID]))
		return "the table has no column \"id\" of a text type";
	if (!is_text(types[EV_COLUMN_TOPIC]))
		return "the table has no column of a text type for the topic";
	if (record ? types[EV_COLUMN_VALUE] != BYTEAOID
		: !is_text(types[EV_COLUMN_VALUE]))
		return "the table has no column of the right type for the value";
	if (record ? types[EV_COLUMN_HEADERS] != JSONBOID
		: !is_text(types[EV_COLUMN_HEADERS]))
		return "the table has no column \"headers\" of the right type";
	if (record && (types[EV_COLUMN_KEY] != BYTEAOID ||
				   types[EV_COLUMN_PARTITION] != INT4OID ||
				   types[EV_COLUMN_TIME] != TIMESTAMPTZOID))
		return "the columns \"key\", \"partition\" and \"record_time\" must be there, of their types";
	if (OidIsValid(types[EV_COLUMN_PUBLISHED]) &&
		types[EV_COLUMN_PUBLISHED] != INT2OID &&
		types[EV_COLUMN_PUBLISHED] != INT4OID)
		return "the column \"published\" is of an unknown type";
	if (OidIsValid(types[EV_COLUMN_TXID]) && types[EV_COLUMN_TXID] != XID8OID)
		return "the column \"txid\" is not of type xid8";
	return NULL;
}

static void
forget_table(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	OutboxEntry *entry;

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

/* Looks a table up in the catalogs; may be under a historic snapshot. */
static void
load_entry(OutboxEntry *entry, Relation relation)
{
	ObjectAddress address = {RelationRelationId, RelationGetRelid(relation), 0};
	char	   *label = GetSecurityLabel(&address, "eventuate");

	memset(&entry->outbox, 0, sizeof(EvOutbox));
	entry->is_outbox = label != NULL &&
		label_format(label, &entry->outbox.format);
	if (entry->is_outbox)
	{
		map_columns(&entry->outbox, RelationGetDescr(relation));
		entry->outbox.problem = find_problem(&entry->outbox);
	}
	entry->valid = true;
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
		entry->valid = false;
	if (!entry->valid)
		load_entry(entry, relation);
	return entry->is_outbox ? &entry->outbox : NULL;
}

/* Called once, by _PG_init. */
void
ev_outbox_init(void)
{
	register_label_provider("eventuate", check_label);
}
