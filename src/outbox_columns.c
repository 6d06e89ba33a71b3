/*-------------------------------------------------------------------------
 *
 * outbox_columns.c
 *	  Which column of an outbox is which.
 *
 * Each format has a table here: what its columns are usually called, which of
 * them must be there, and of which types they may be.  Only types of
 * PostgreSQL's own are read, and domains and enums, whose text PostgreSQL
 * itself makes: no code of anybody's runs in the publisher.
 *
 * Pure but for looking up types in the catalogs, which may be under a
 * historic snapshot.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "outbox.h"

/* What a column must be able to give. */
typedef enum Kind
{
	KIND_TEXT,					/* or anything else that has a text form */
	KIND_BYTES,					/* bytea, or as above */
	KIND_JSON,					/* an object, or an array of headers */
	KIND_HEADER_TEXT,			/* text or JSON, kept in its order */
	KIND_INTEGER,
	KIND_TIME,					/* timestamptz, timestamp (of UTC), or ms
								 * since 1970 */
	KIND_XID8,
	KIND_HEADER					/* what Kafka Connect has a text for */
} Kind;

typedef struct Rule
{
	const char *name;			/* NULL: there is none unless the label says
								 * so */
	Kind		kind;
	bool		required;
} Rule;

static const Rule rules[][EV_COLUMN_COUNT] = {
	[EV_FORMAT_EVENTUATE] = {
		[EV_COLUMN_ID] = {"id", KIND_TEXT},
		[EV_COLUMN_TOPIC] = {"destination", KIND_TEXT, true},
		[EV_COLUMN_HEADERS] = {"headers", KIND_HEADER_TEXT, true},
		[EV_COLUMN_VALUE] = {"payload", KIND_TEXT, true},
		[EV_COLUMN_PUBLISHED] = {"published", KIND_INTEGER},
		[EV_COLUMN_TXID] = {"txid", KIND_XID8},
		[EV_COLUMN_DBID] = {"dbid", KIND_INTEGER},
	},
	[EV_FORMAT_EVENTS] = {
		[EV_COLUMN_ID] = {"event_id", KIND_TEXT, true},
		[EV_COLUMN_TOPIC] = {"entity_type", KIND_TEXT, true},
		[EV_COLUMN_HEADERS] = {"metadata", KIND_TEXT},
		[EV_COLUMN_VALUE] = {"event_data", KIND_TEXT, true},
		[EV_COLUMN_PUBLISHED] = {"published", KIND_INTEGER},
		[EV_COLUMN_TXID] = {NULL, KIND_XID8},
		[EV_COLUMN_KEY] = {"entity_id", KIND_TEXT, true},
		[EV_COLUMN_DBID] = {"id", KIND_INTEGER},
		[EV_COLUMN_TYPE] = {"event_type", KIND_TEXT, true},
	},
	[EV_FORMAT_DEBEZIUM] = {
		[EV_COLUMN_ID] = {"id", KIND_TEXT, true},
		[EV_COLUMN_TOPIC] = {"aggregatetype", KIND_TEXT, true},
		[EV_COLUMN_VALUE] = {"payload", KIND_BYTES, true},
		[EV_COLUMN_PUBLISHED] = {NULL, KIND_INTEGER},
		[EV_COLUMN_TXID] = {NULL, KIND_XID8},
		[EV_COLUMN_KEY] = {"aggregateid", KIND_BYTES, true},
		[EV_COLUMN_PARTITION] = {NULL, KIND_INTEGER},
		[EV_COLUMN_TIME] = {NULL, KIND_TIME},
	},
	[EV_FORMAT_RAW] = {
		[EV_COLUMN_ID] = {"id", KIND_TEXT},
		[EV_COLUMN_TOPIC] = {"topic", KIND_TEXT},
		[EV_COLUMN_HEADERS] = {"headers", KIND_JSON},
		[EV_COLUMN_VALUE] = {"value", KIND_BYTES, true},
		[EV_COLUMN_PUBLISHED] = {NULL, KIND_INTEGER},
		[EV_COLUMN_TXID] = {"txid", KIND_XID8},
		[EV_COLUMN_KEY] = {"key", KIND_BYTES},
		[EV_COLUMN_PARTITION] = {"partition", KIND_INTEGER},
		[EV_COLUMN_TIME] = {"timestamp", KIND_TIME},
	},
};

static const char *const kind_names[] = {
	[KIND_TEXT] = "a type that PostgreSQL itself can write as text",
	[KIND_BYTES] = "bytea, or a type that PostgreSQL itself can write as text",
	[KIND_JSON] = "type jsonb or json",
	[KIND_HEADER_TEXT] = "type text or json",
	[KIND_INTEGER] = "an integer type",
	[KIND_TIME] = "type timestamp or bigint",
	[KIND_XID8] = "type xid8",
	[KIND_HEADER] = "a type for headers: text, JSON, uuid, xml, enums, boolean, integers, numeric of a scale, bytea, date, timestamp, network addresses",
};

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Text form without code of anybody's. */
static bool
is_printable(Oid type)
{
	return type < FirstUnpinnedObjectId || get_typtype(type) == TYPTYPE_ENUM;
}

/*
 * Types of which row_connect.c knows the text that Kafka Connect makes of
 * them.  numeric is written with its scale, so it must have one.
 */
static bool
is_header(Oid type, int32 typmod)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case JSONBOID:
		case UUIDOID:
		case XMLOID:
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case BYTEAOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INETOID:
		case CIDROID:
			return true;
		case NUMERICOID:
			return typmod >= 0;
		default:
			return get_typtype(type) == TYPTYPE_ENUM;
	}
}

static bool
is_of_kind(Oid type, int32 typmod, Kind kind)
{
	switch (kind)
	{
		case KIND_TEXT:
			return type != BYTEAOID && is_printable(type);
		case KIND_BYTES:
			return is_printable(type);
		case KIND_JSON:
			return type == JSONBOID || type == JSONOID;
		case KIND_HEADER_TEXT:
			return type == TEXTOID || type == VARCHAROID || type == JSONOID ||
				type == JSONBOID;
		case KIND_INTEGER:
			return is_integer(type);
		case KIND_TIME:
			return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == INT8OID;
		case KIND_XID8:
			return type == XID8OID;
		case KIND_HEADER:
			return is_header(type, typmod);
	}
	return false;
}

/*
 * The column, and its type below all domains; number 0: there is none such.
 * What is computed when it is read is not in a row, so it is none.
 */
static EvPlaced
find_column(TupleDesc desc, const char *name)
{
	EvPlaced	found = {0, InvalidOid, -1};

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || ev_attribute_is_virtual_compat(attribute) ||
			strcmp(NameStr(attribute->attname), name) != 0)
			continue;
		found.column = attribute->attnum;
		found.typmod = attribute->atttypmod;
		found.type = getBaseTypeAndTypmod(attribute->atttypid, &found.typmod);
		break;
	}
	return found;
}

/* One column.  Returns why it makes the table unreadable, or NULL. */
static const char *
map_column(EvOutbox *outbox, TupleDesc desc, EvColumn column)
{
	const Rule *rule = &rules[outbox->label.format][column];
	const char *renamed = outbox->label.columns[column];
	const char *name = renamed ? renamed : rule->name;
	EvPlaced	found;

	if (renamed != NULL && rule->name == NULL && !rule->required &&
		rule->kind == KIND_TEXT)
		return psprintf("format \"%s\" has no \"%s\"",
						ev_label_format_name(outbox->label.format),
						ev_label_column_name(column));
	if (name == NULL || name[0] == '\0')
		return rule->required ? psprintf("the format needs a column for \"%s\"",
										 ev_label_column_name(column)) : NULL;
	found = find_column(desc, name);
	if (found.column == 0)
		return renamed || rule->required ?
			psprintf("the table has no column \"%s\"", name) : NULL;
	if (!is_of_kind(found.type, found.typmod, rule->kind))
		return psprintf("the column \"%s\" is not of %s", name,
						kind_names[rule->kind]);
	outbox->columns[column] = found.column;
	outbox->types[column] = found.type;
	return NULL;
}

static const char *
map_placements(EvOutbox *outbox, TupleDesc desc)
{
	const EvLabel *label = &outbox->label;

	outbox->placed = palloc0(sizeof(EvPlaced) * Max(label->placement_count, 1));
	for (int i = 0; i < label->placement_count; i++)
	{
		const char *name = label->placements[i].column;

		outbox->placed[i] = find_column(desc, name);
		if (outbox->placed[i].column == 0)
			return psprintf("the table has no column \"%s\"", name);
		if (!is_of_kind(outbox->placed[i].type, outbox->placed[i].typmod, KIND_HEADER))
			return psprintf("the column \"%s\" is not of %s", name,
							kind_names[KIND_HEADER]);
	}
	return NULL;
}

/* What is true of options together with columns. */
static const char *
check_options(const EvOutbox *outbox)
{
	const EvLabel *label = &outbox->label;
	Oid			value = outbox->types[EV_COLUMN_VALUE];
	bool		has_topic = outbox->columns[EV_COLUMN_TOPIC] != 0;

	if (!has_topic && label->topic == NULL)
		return "there is neither a column for the topic nor a topic for all rows";
	if (has_topic && label->topic != NULL && label->format != EV_FORMAT_DEBEZIUM)
		return "there is both a column for the topic and a topic for all rows";
	if (label->expand_json && !is_of_kind(value, -1, KIND_HEADER_TEXT))
		return "only a payload of type text or json can be expanded";
	return NULL;
}

/*
 * Finds the columns that the label speaks of in a table, or in a partition of
 * it, whose columns may be in another order.  Fills in outbox->problem too.
 * Memory is that of the current context.
 */
void
ev_outbox_map_columns(EvOutbox *outbox, TupleDesc desc)
{
	outbox->problem = NULL;
	for (int column = 0; column < EV_COLUMN_COUNT && !outbox->problem; column++)
		outbox->problem = map_column(outbox, desc, column);
	if (outbox->problem == NULL)
		outbox->problem = map_placements(outbox, desc);
	if (outbox->problem == NULL)
		outbox->problem = check_options(outbox);
}

static bool
tells_age(Oid type)
{
	return type == TIMESTAMPTZOID || type == INT8OID;
}

/*
 * The column that tells how old a row is, by a timestamptz or by ms since
 * 1970: creation_time, else what the label calls "timestamp"; 0: there is none.
 */
AttrNumber
ev_outbox_age_column(const EvOutbox *outbox, TupleDesc desc)
{
	EvPlaced	found = find_column(desc, "creation_time");

	if (found.column != 0 && tells_age(found.type))
		return found.column;
	return tells_age(outbox->types[EV_COLUMN_TIME]) ?
		outbox->columns[EV_COLUMN_TIME] : 0;
}

/* The value of a column of an integer type. */
int64
ev_outbox_integer(const EvOutbox *outbox, EvColumn column, Datum value)
{
	switch (outbox->types[column])
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}
