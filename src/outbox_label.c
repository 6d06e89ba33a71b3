/*-------------------------------------------------------------------------
 *
 * outbox_label.c
 *	  What the label of an outbox says: a JSON object.
 *
 * eventuate_attach() writes labels, the extension's script too, and a
 * superuser may write one by hand; whoever decodes reads them.  Each member
 * has one row in a table here; unknown members are refused, so that a
 * misspelt one does not pass in silence.
 *
 * Labels are dumped with their tables.  What only makes sense in the cluster
 * where it was written says which that is.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "outbox_label.h"

/* In ms: longer than any table will live, and no number that overflows. */
#define LONGEST_RETENTION (PG_INT32_MAX * INT64CONST(1000000))

/* The event router's own default. */
#define DEBEZIUM_TOPIC "outbox.event.${routedByValue}"

static const char *const format_names[] = {
	[EV_FORMAT_EVENTUATE] = "eventuate",
	[EV_FORMAT_EVENTS] = "eventuate-events",
	[EV_FORMAT_DEBEZIUM] = "debezium",
	[EV_FORMAT_RAW] = "raw",
};

static const char *const column_names[EV_COLUMN_COUNT] = {
	[EV_COLUMN_ID] = "id",
	[EV_COLUMN_TOPIC] = "topic",
	[EV_COLUMN_HEADERS] = "headers",
	[EV_COLUMN_VALUE] = "value",
	[EV_COLUMN_PUBLISHED] = "published",
	[EV_COLUMN_TXID] = "txid",
	[EV_COLUMN_KEY] = "key",
	[EV_COLUMN_PARTITION] = "partition",
	[EV_COLUMN_TIME] = "timestamp",
	[EV_COLUMN_DBID] = "dbid",
	[EV_COLUMN_TYPE] = "type",
};

static const char *const reader_names[] = {
	[EV_READER_WAL] = "wal",
	[EV_READER_POLLING] = "polling",
};

/* The name of a format, as eventuate_attach() takes it. */
const char *
ev_label_format_name(EvFormat format)
{
	return format_names[format];
}

/* The name of a reader, as eventuate_attach() takes it. */
const char *
ev_label_reader_name(EvReader reader)
{
	return reader_names[reader];
}

/* The name by which a label calls a column, whatever the table calls it. */
const char *
ev_label_column_name(EvColumn column)
{
	return column_names[column];
}

/* ---------------------------------------------------------------------
 * Values
 * ---------------------------------------------------------------------
 */

static bool
slice_is(const JsonbValue *string, const char *text)
{
	return string->val.string.len == strlen(text) &&
		memcmp(string->val.string.val, text, string->val.string.len) == 0;
}

/* The string, or NULL if the value is none. */
static char *
string_of(const JsonbValue *value)
{
	return value->type != jbvString ? NULL :
		pnstrdup(value->val.string.val, value->val.string.len);
}

static int
find_name(const JsonbValue *value, const char *const *names, int count)
{
	for (int i = 0; value->type == jbvString && i < count; i++)
	{
		if (slice_is(value, names[i]))
			return i;
	}
	return -1;
}

static bool
read_integer(const JsonbValue *value, int64 minimum, int64 *result)
{
	bool		fits = value->type == jbvNumeric;

	if (fits)
		*result = DatumGetInt64(DirectFunctionCall1(numeric_int8,
													NumericGetDatum(value->val.numeric)));
	return fits && *result >= minimum;
}

/* The object that a member holds, or NULL. */
static JsonbContainer *
object_of(const JsonbValue *value)
{
	return value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data) ?
		value->val.binary.data : NULL;
}

/* ---------------------------------------------------------------------
 * Members
 * ---------------------------------------------------------------------
 */

static bool
read_format(EvLabel *label, const JsonbValue *value)
{
	int			format = find_name(value, format_names, lengthof(format_names));

	label->format = (EvFormat) format;
	return format >= 0;
}

static bool
read_reader(EvLabel *label, const JsonbValue *value)
{
	int			reader = find_name(value, reader_names, lengthof(reader_names));

	label->reader = (EvReader) reader;
	return reader >= 0;
}

/* {"topic": "destination", "partition": null} */
static bool
read_columns(EvLabel *label, const JsonbValue *value)
{
	JsonbContainer *object = object_of(value);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			column = -1;

	if (object == NULL)
		return false;
	iterator = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			column = find_name(&item, column_names, EV_COLUMN_COUNT);
		if (column < 0 && token == WJB_KEY)
			return false;
		if (token != WJB_VALUE)
			continue;
		if (item.type != jbvNull && item.type != jbvString)
			return false;
		label->columns[column] = item.type == jbvNull ? "" : string_of(&item);
	}
	return true;
}

static bool
read_outbox_id(EvLabel *label, const JsonbValue *value)
{
	return read_integer(value, 0, &label->outbox_id) &&
		label->outbox_id <= INT64CONST(0x0000ffffffffffff);
}

static bool
read_topic(EvLabel *label, const JsonbValue *value)
{
	label->topic = string_of(value);
	return label->topic != NULL;
}

static bool
read_topics(EvLabel *label, const JsonbValue *value)
{
	label->topics = string_of(value);
	return label->topics != NULL;
}

/* What stands before the character, which is skipped; without white space. */
static char *
take_part(char **at, char separator)
{
	char	   *part = *at;
	char	   *end = strchr(part, separator);

	*at = end ? end + 1 : part + strlen(part);
	if (end != NULL)
		*end = '\0';
	while (isspace((unsigned char) *part))
		part++;
	end = part + strlen(part);
	while (end > part && isspace((unsigned char) end[-1]))
		*--end = '\0';
	return part;
}

/* One of "column:header", "column:header:name", "column:partition". */
static bool
read_placement(EvLabel *label, char *text)
{
	EvPlacement *placement = &label->placements[label->placement_count];
	char	   *kind;
	char	   *name;

	placement->column = take_part(&text, ':');
	kind = take_part(&text, ':');
	name = take_part(&text, ':');
	if (placement->column[0] == '\0' || *text != '\0')
		return false;
	if (pg_strcasecmp(kind, "partition") == 0)
		label->columns[EV_COLUMN_PARTITION] = placement->column;
	else if (pg_strcasecmp(kind, "header") == 0)
	{
		placement->header = name[0] == '\0' ? placement->column : name;
		label->placement_count++;
	}
	else
		return false;
	return true;
}

/* The headers stay in the order of the list. */
static bool
read_placements(EvLabel *label, const JsonbValue *value)
{
	char	   *text = string_of(value);
	bool		fine = text != NULL && text[0] != '\0';

	/* Each takes three characters at least, and a comma. */
	if (fine)
		label->placements = palloc0(sizeof(EvPlacement) * (strlen(text) / 4 + 1));
	while (fine && *text != '\0')
	{
		char	   *placement = take_part(&text, ',');

		fine = strlen(placement) >= 3 && read_placement(label, placement);
	}
	return fine;
}

static bool
read_expand_json(EvLabel *label, const JsonbValue *value)
{
	label->expand_json = value->type == jbvBool && value->val.boolean;
	return value->type == jbvBool;
}

static bool
read_tombstone(EvLabel *label, const JsonbValue *value)
{
	label->tombstone_on_empty = value->type == jbvBool && value->val.boolean;
	return value->type == jbvBool;
}

static bool
read_retention(EvLabel *label, const JsonbValue *value)
{
	char	   *text = string_of(value);

	if (text == NULL)
		return false;
	label->retention = DatumGetIntervalP(DirectFunctionCall3(interval_in,
															 CStringGetDatum(text),
															 ObjectIdGetDatum(InvalidOid),
															 Int32GetDatum(-1)));
	return true;
}

/* How long published rows stay, in ms; -1: for ever. */
int64
ev_label_retention_ms(const EvLabel *label)
{
	return label->retention == NULL ? -1 :
		Min(Max(ev_interval_ms(label->retention), 0), LONGEST_RETENTION);
}

static bool
read_poll_interval(EvLabel *label, const JsonbValue *value)
{
	return read_integer(value, 1, &label->poll_interval);
}

/* {"snapshot": "10:20:", "system": "7...", "database": 16384} */
static bool
read_moment(EvMoment *moment, const JsonbValue *value)
{
	JsonbContainer *object = object_of(value);
	JsonbValue	snapshot;
	JsonbValue	system;
	JsonbValue	database;
	JsonbValue	overflowed;
	int64		oid;

	if (object == NULL ||
		getKeyJsonValueFromContainer(object, "snapshot", 8, &snapshot) == NULL ||
		getKeyJsonValueFromContainer(object, "system", 6, &system) == NULL ||
		getKeyJsonValueFromContainer(object, "database", 8, &database) == NULL ||
		snapshot.type != jbvString || system.type != jbvString ||
		!read_integer(&database, 1, &oid))
		return false;
	moment->snapshot = DirectFunctionCall1(pg_snapshot_in,
										   CStringGetDatum(string_of(&snapshot)));
	moment->overflowed =
		getKeyJsonValueFromContainer(object, "overflowed", 10, &overflowed) != NULL;
	moment->system = string_of(&system);
	moment->database = (Oid) oid;
	return true;
}

static bool
read_since(EvLabel *label, const JsonbValue *value)
{
	return read_moment(&label->period.since, value);
}

static bool
read_until(EvLabel *label, const JsonbValue *value)
{
	return read_moment(&label->period.until, value);
}

/* {"since": ..., "until": ...}, the first of which may be missing. */
static bool
read_period(EvPeriod *period, const JsonbValue *value)
{
	JsonbContainer *object = object_of(value);
	JsonbValue	since;
	JsonbValue	until;

	if (object == NULL ||
		getKeyJsonValueFromContainer(object, "until", 5, &until) == NULL)
		return false;
	return read_moment(&period->until, &until) &&
		(getKeyJsonValueFromContainer(object, "since", 5, &since) == NULL ||
		 read_moment(&period->since, &since));
}

static bool
read_earlier(EvLabel *label, const JsonbValue *value)
{
	JsonbContainer *array = value->val.binary.data;

	if (value->type != jbvBinary || !JsonContainerIsArray(array))
		return false;
	label->earlier_count = JsonContainerSize(array);
	label->earlier = palloc0(sizeof(EvPeriod) * Max(label->earlier_count, 1));
	for (int i = 0; i < label->earlier_count; i++)
	{
		if (!read_period(&label->earlier[i],
						 getIthJsonbValueFromContainer(array, i)))
			return false;
	}
	return true;
}

#define MOMENT_EXPECTED "an object of \"snapshot\", \"system\" and \"database\""

static const struct
{
	const char *name;
	bool		(*read) (EvLabel *label, const JsonbValue *value);
	const char *expected;
}			members[] =
{
	{"format", read_format, "\"eventuate\", \"eventuate-events\", \"debezium\" or \"raw\""},
	{"reader", read_reader, "\"wal\" or \"polling\""},
	{"columns", read_columns, "an object that maps id, topic, key, value, headers, partition, timestamp, published, txid, dbid or type to names of columns, or to null"},
	{"outbox_id", read_outbox_id, "a number from 0 to 281474976710655"},
	{"topic", read_topic, "a string"},
	{"topics", read_topics, "a regular expression"},
	{"placements", read_placements, "a list such as \"column:header,column:header:name,column:partition\"; a place \"envelope\" is not supported"},
	{"expand_json", read_expand_json, "true or false"},
	{"tombstone_on_empty", read_tombstone, "true or false"},
	{"retention", read_retention, "an interval"},
	{"poll_interval", read_poll_interval, "a number of milliseconds"},
	{"since", read_since, MOMENT_EXPECTED},
	{"until", read_until, MOMENT_EXPECTED},
	{"earlier", read_earlier, "an array of objects of \"since\" and \"until\""},
};

static bool
read_member(EvLabel *label, const JsonbValue *name, const JsonbValue *value,
			const char **reason)
{
	for (int i = 0; i < lengthof(members); i++)
	{
		if (!slice_is(name, members[i].name))
			continue;
		if (members[i].read(label, value))
			return true;
		*reason = psprintf("\"%s\" must be %s", members[i].name,
						   members[i].expected);
		return false;
	}
	*reason = psprintf("unknown member \"%s\"", string_of(name));
	return false;
}

/*
 * Reads a label into the current memory context.  False, with a reason, if it
 * says nothing that we understand; throws if it is no JSON.
 */
bool
ev_label_parse(const char *text, EvLabel *label, const char **reason)
{
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														  CStringGetDatum(text)));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	name = {0};
	JsonbValue	value;

	memset(label, 0, sizeof(EvLabel));
	label->format = (EvFormat) -1;
	label->outbox_id = -1;
	label->poll_interval = 500;
	*reason = "there is no JSON object";
	if (!JB_ROOT_IS_OBJECT(json))
		return false;
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = value;
		else if (token == WJB_VALUE && !read_member(label, &name, &value, reason))
			return false;
	}
	*reason = "no format is named";
	if ((int) label->format < 0)
		return false;
	if (label->format == EV_FORMAT_DEBEZIUM && label->topic == NULL)
		label->topic = DEBEZIUM_TOPIC;
	*reason = "\"placements\", \"expand_json\" and \"tombstone_on_empty\" are for format \"debezium\" only";
	return label->format == EV_FORMAT_DEBEZIUM ||
		(label->placements == NULL && !label->expand_json &&
		 !label->tombstone_on_empty);
}
