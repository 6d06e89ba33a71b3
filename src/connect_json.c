/*-------------------------------------------------------------------------
 *
 * connect_json.c
 *	  JSON as Debezium's event router and Kafka Connect make it.
 *
 * The router that is told to expand a payload infers a schema from it, brings
 * the payload into the schema, and Kafka Connect's JsonConverter writes that.
 * What the schema has no place for is gone: members that are null or an empty
 * array.  Elements of an array have one schema: of objects that differ each
 * is written with the members of all.  A payload for which there is no schema
 * (an array of numbers and strings, say) or that does not fit its schema is
 * not expanded; of the latter the real router dies.
 *
 * Promises: nothing is read outside the text passed in, whatever it holds;
 * depth of recursion, memory and time are bounded by the limits below and in
 * json_tree.h; no function throws, but for running out of memory.  Memory is
 * that of the current context.  There is no state, so a restart changes
 * nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <errno.h>

#include "connect_json.h"
#include "json_number.h"
#include "json_tree.h"

/* So many names are compared at most: some tenths of a second. */
#define MAX_COMPARISONS 10000000

/* Longer results are none: no record is that large. */
#define MAX_EXPANDED EV_JSON_TREE_MAX_TEXT

typedef enum Type
{
	TYPE_STRING,
	TYPE_BOOLEAN,
	TYPE_INT32,
	TYPE_INT64,
	TYPE_FLOAT64,
	TYPE_ARRAY,
	TYPE_STRUCT,
	TYPE_HUGE					/* an integer beyond int64: fits nowhere */
} Type;

typedef struct Schema Schema;

typedef struct Field
{
	EvSlice		name;
	Schema	   *schema;
	struct Field *next;
} Field;

struct Schema
{
	Type		type;
	Schema	   *element;		/* of an array */
	Field	   *first;			/* of a struct */
	Field	   *last;
};

typedef struct Expansion
{
	const EvJsonTree *tree;
	StringInfo	out;
	int			comparisons;
	bool		failed;			/* from then on nothing counts any more */
} Expansion;

static Schema *infer(Expansion *expansion, const EvJsonNode *node);
static void write_value(Expansion *expansion, const Schema *schema,
						const EvJsonNode *node);

static bool
same_name(Expansion *expansion, const EvSlice *left, const EvSlice *right)
{
	if (++expansion->comparisons > MAX_COMPARISONS)
		expansion->failed = true;
	return left->length == right->length &&
		memcmp(left->data, right->data, left->length) == 0;
}

/* What follows a node that is in something, or NULL. */
static const EvJsonNode *
next_node(const Expansion *expansion, const EvJsonNode *whole,
		  const EvJsonNode *node)
{
	return node->next < whole->next ? &expansion->tree->nodes[node->next] : NULL;
}

/* The first of what is in an array or object, or NULL. */
static const EvJsonNode *
first_node(const Expansion *expansion, const EvJsonNode *whole)
{
	size_t		position = whole - expansion->tree->nodes + 1;

	return position < whole->next ? &expansion->tree->nodes[position] : NULL;
}

/* ---------------------------------------------------------------------
 * Schemas
 * ---------------------------------------------------------------------
 */

static Type
number_type(const EvSlice *number)
{
	char	   *text;
	int64		value;

	for (size_t i = 0; i < number->length; i++)
	{
		if (strchr(".eE", number->data[i]) != NULL)
			return TYPE_FLOAT64;
	}
	if (number->length > 20)
		return TYPE_HUGE;
	text = pnstrdup(number->data, number->length);
	errno = 0;
	value = strtoll(text, NULL, 10);
	pfree(text);
	if (errno != 0)
		return TYPE_HUGE;
	return value < PG_INT32_MIN || value > PG_INT32_MAX ? TYPE_INT64 : TYPE_INT32;
}

/* The type of a value that is not null. */
static Type
type_of(const EvJsonNode *node)
{
	switch (node->kind)
	{
		case EV_JSON_BOOLEAN:
			return TYPE_BOOLEAN;
		case EV_JSON_NUMBER:
			return number_type(&node->text);
		case EV_JSON_ARRAY:
			return TYPE_ARRAY;
		case EV_JSON_OBJECT:
			return TYPE_STRUCT;
		default:
			return TYPE_STRING;
	}
}

static void
add_field(Schema *schema, EvSlice name, Schema *type)
{
	Field	   *field = palloc0(sizeof(Field));

	field->name = name;
	field->schema = type;
	if (schema->last == NULL)
		schema->first = field;
	else
		schema->last->next = field;
	schema->last = field;
}

/* The field of that name; where it is likely to be is looked at first. */
static Field *
find_field(Expansion *expansion, const Schema *schema, const EvSlice *name,
		   Field *likely)
{
	if (likely != NULL && same_name(expansion, &likely->name, name))
		return likely;
	for (Field *field = schema->first; field != NULL && !expansion->failed;
		 field = field->next)
	{
		if (same_name(expansion, &field->name, name))
			return field;
	}
	return NULL;
}

/*
 * Makes the left a schema for what the right is one for, too, as far as
 * members go: of two types for one member the left's stays.
 */
static void
merge(Expansion *expansion, Schema *left, const Schema *right)
{
	Field	   *likely = left->first;

	if (left->type == TYPE_ARRAY && right->type == TYPE_ARRAY)
		merge(expansion, left->element, right->element);
	if (left->type != TYPE_STRUCT || right->type != TYPE_STRUCT)
		return;
	for (Field *field = right->first; field != NULL && !expansion->failed;
		 field = field->next)
	{
		Field	   *same = find_field(expansion, left, &field->name, likely);

		if (same != NULL)
			merge(expansion, same->schema, field->schema);
		else
			add_field(left, field->name, field->schema);
		likely = same ? same->next : NULL;
	}
}

/*
 * The first element that is not null, if all are of its kind and numbers of
 * its type; NULL otherwise.
 */
static const EvJsonNode *
find_sample(Expansion *expansion, const EvJsonNode *array)
{
	const EvJsonNode *sample = NULL;

	for (const EvJsonNode *node = first_node(expansion, array); node != NULL;
		 node = next_node(expansion, array, node))
	{
		if (node->kind == EV_JSON_NULL)
			continue;
		if (sample == NULL)
			sample = node;
		if (node->kind != sample->kind ||
			(node->kind == EV_JSON_NUMBER && type_of(node) != type_of(sample)))
			return NULL;
	}
	return sample;
}

/* The schema of an array's elements: there must be one. */
static Schema *
infer_element(Expansion *expansion, const EvJsonNode *array)
{
	const EvJsonNode *sample = find_sample(expansion, array);
	Schema	   *schema = NULL;

	if (sample != NULL)
		schema = infer(expansion, sample);
	if (schema == NULL)
		expansion->failed = true;
	else if (sample->kind == EV_JSON_OBJECT)
	{
		const EvJsonNode *node = sample;

		while (!expansion->failed &&
			   (node = next_node(expansion, array, node)) != NULL)
		{
			if (node->kind == EV_JSON_OBJECT)
				merge(expansion, schema, infer(expansion, node));
		}
	}
	return schema;
}

static void
infer_fields(Expansion *expansion, const EvJsonNode *object, Schema *schema)
{
	for (const EvJsonNode *node = first_node(expansion, object);
		 node != NULL && !expansion->failed;
		 node = next_node(expansion, object, node))
	{
		const EvJsonNode *value = ev_json_tree_value(expansion->tree, node);
		Schema	   *type = value ? infer(expansion, value) : NULL;

		if (type == NULL)
			continue;
		/* Kafka Connect knows no field without a name. */
		if (node->name.length == 0)
			expansion->failed = true;
		add_field(schema, node->name, type);
	}
}

/* The schema for a value, NULL if there is none for it alone. */
static Schema *
infer(Expansion *expansion, const EvJsonNode *node)
{
	Schema	   *schema;

	if (node->kind == EV_JSON_NULL ||
		(node->kind == EV_JSON_ARRAY && first_node(expansion, node) == NULL))
		return NULL;
	schema = palloc0(sizeof(Schema));
	schema->type = type_of(node);
	if (schema->type == TYPE_ARRAY)
		schema->element = infer_element(expansion, node);
	else if (schema->type == TYPE_STRUCT)
		infer_fields(expansion, node, schema);
	return schema;
}

/* ---------------------------------------------------------------------
 * Values
 * ---------------------------------------------------------------------
 */

static void
write_elements(Expansion *expansion, const Schema *schema, const EvJsonNode *array)
{
	bool		first = true;

	appendStringInfoChar(expansion->out, '[');
	for (const EvJsonNode *node = first_node(expansion, array);
		 node != NULL && !expansion->failed;
		 node = next_node(expansion, array, node))
	{
		if (!first)
			appendStringInfoChar(expansion->out, ',');
		first = false;
		write_value(expansion, schema->element, node);
	}
	appendStringInfoChar(expansion->out, ']');
}

/* The value of that name in an object, or NULL; looked for as a field is. */
static const EvJsonNode *
find_value(Expansion *expansion, const EvJsonNode *object, const EvSlice *name,
		   const EvJsonNode **likely)
{
	const EvJsonNode *node = *likely;
	const EvJsonNode *value = NULL;

	if (node == NULL || !same_name(expansion, &node->name, name) ||
		(value = ev_json_tree_value(expansion->tree, node)) == NULL)
	{
		node = first_node(expansion, object);
		while (node != NULL && !expansion->failed &&
			   (!same_name(expansion, &node->name, name) ||
				(value = ev_json_tree_value(expansion->tree, node)) == NULL))
			node = next_node(expansion, object, node);
	}
	if (node != NULL)
		*likely = next_node(expansion, object, node);
	return value;
}

static void
write_fields(Expansion *expansion, const Schema *schema, const EvJsonNode *object)
{
	StringInfo	out = expansion->out;
	const EvJsonNode *likely = first_node(expansion, object);

	appendStringInfoChar(out, '{');
	for (const Field *field = schema->first; field != NULL && !expansion->failed;
		 field = field->next)
	{
		const EvJsonNode *value = find_value(expansion, object, &field->name,
											 &likely);

		if (field != schema->first)
			appendStringInfoChar(out, ',');
		ev_connect_json_append_string(out, field->name.data, field->name.length);
		appendStringInfoChar(out, ':');
		if (value == NULL)
			appendStringInfoString(out, "null");
		else
			write_value(expansion, field->schema, value);
	}
	appendStringInfoChar(out, '}');
}

/* Appends a value in its schema. */
static void
write_value(Expansion *expansion, const Schema *schema, const EvJsonNode *node)
{
	StringInfo	out = expansion->out;

	if (out->len > MAX_EXPANDED)
		expansion->failed = true;
	if (node->kind == EV_JSON_NULL)
	{
		appendStringInfoString(out, "null");
		return;
	}
	if (schema->type == TYPE_HUGE || schema->type != type_of(node))
		expansion->failed = true;
	if (expansion->failed)
		return;
	switch (node->kind)
	{
		case EV_JSON_NUMBER:
			ev_json_append_number(out, &node->text);
			break;
		case EV_JSON_STRING:
			ev_connect_json_append_string(out, node->text.data, node->text.length);
			break;
		case EV_JSON_ARRAY:
			write_elements(expansion, schema, node);
			break;
		case EV_JSON_OBJECT:
			write_fields(expansion, schema, node);
			break;
		default:
			appendBinaryStringInfo(out, node->text.data, node->text.length);
			break;
	}
}

/*
 * Append what becomes of a payload that is expanded, in UTF-8.  False if it is
 * not, but goes as the string that it is; then out is as before.
 *
 * What stands behind the object is ignored, as by the router.
 */
bool
ev_connect_json_expand(StringInfo out, const char *text, size_t length)
{
	Expansion	expansion = {0};
	EvJsonTree	tree;
	int			start = out->len;

	/* The router looks at the first character only: no white space. */
	if (length == 0 || *text != '{')
		return false;
	expansion.tree = &tree;
	expansion.out = out;
	expansion.failed = ev_json_tree_read_first(&tree, text, length) != EV_JSON_FINE;
	if (!expansion.failed)
	{
		Schema	   *schema = infer(&expansion, tree.nodes);

		if (!expansion.failed)
			write_value(&expansion, schema, tree.nodes);
	}
	ev_json_tree_free(&tree);
	if (expansion.failed)
	{
		out->len = start;
		out->data[start] = '\0';
	}
	return !expansion.failed;
}

/*
 * Append a string as the converter writes it, quoted: as Jackson does, where
 * it writes bytes, characters beyond the BMP are a pair of escapes.
 */
void
ev_connect_json_append_string(StringInfo out, const char *text, size_t length)
{
	const char *end = text + length;
	const char *from = text;

	appendStringInfoChar(out, '"');
	while (from < end)
	{
		const char *to = from;
		uint32		c;

		while (to < end && (unsigned char) *to < 0xf0)
			to++;
		ev_json_append_escaped(out, from, to - from);
		from = to;
		if (end - from < 4)
			break;
		c = ((from[0] & 0x07) << 18 | (from[1] & 0x3f) << 12 |
			 (from[2] & 0x3f) << 6 | (from[3] & 0x3f)) - 0x10000;
		appendStringInfo(out, "\\u%04X\\u%04X", 0xd800 + (c >> 10),
						 0xdc00 + (c & 0x3ff));
		from += 4;
	}
	appendStringInfoChar(out, '"');
}
