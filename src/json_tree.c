/*-------------------------------------------------------------------------
 *
 * json_tree.c
 *	  Any value of JSON, read and written as Jackson does.
 *
 * That is: as Jackson reads text into Java's maps, lists, strings and numbers
 * and writes those, nulls left out of maps, with an ObjectMapper like
 * Eventuate's.  White space goes, strings are escaped afresh, numbers are
 * those of json_number.c; of a name that comes twice in an object the first
 * position and the last value stay.
 *
 * Promises: nothing is read outside the text passed in, whatever it holds;
 * depth of recursion, memory and time are bounded by the limits in
 * json_tree.h; no function throws, but for running out of memory.  There is no
 * state, so a restart changes nothing.
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

#include "json_number.h"
#include "json_tree.h"

/* EvJsonNode.value of a member that a later one of its name stands for. */
#define DROPPED ((size_t) -1)

typedef struct Reader
{
	EvJsonTree *tree;
	const char *at;
	const char *end;
	int			depth;
} Reader;

static EvJsonError read_value(Reader *reader, EvSlice name);

static void
skip_space(Reader *reader)
{
	while (reader->at < reader->end &&
		   (*reader->at == ' ' || *reader->at == '\t' ||
			*reader->at == '\n' || *reader->at == '\r'))
		reader->at++;
}

/* Skips white space and then c, if that is what follows. */
static bool
take(Reader *reader, char c)
{
	skip_space(reader);
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

/* Takes the word, if it is what follows. */
static bool
take_word(Reader *reader, const char *word, EvSlice *slice)
{
	size_t		length = strlen(word);

	if (reader->end - reader->at < length ||
		memcmp(reader->at, word, length) != 0)
		return false;
	slice->data = reader->at;
	slice->length = length;
	reader->at += length;
	return true;
}

/* Reads a string into the tree's text, unescaped. */
static EvJsonError
read_string(Reader *reader, EvSlice *slice)
{
	EvJsonTree *tree = reader->tree;
	EvJsonError error;

	slice->data = tree->text + tree->used;
	error = ev_json_read_string(&reader->at, reader->end,
								tree->text + tree->used, &slice->length);
	if (error == EV_JSON_FINE)
		tree->used += slice->length;
	return error;
}

/* Adds a node and returns its position; pointers to nodes are stale then. */
static size_t
add_node(EvJsonTree *tree, EvSlice name)
{
	EvJsonNode *node;

	if (tree->count == tree->capacity)
	{
		tree->capacity *= 2;
		tree->nodes = repalloc(tree->nodes,
							   tree->capacity * sizeof(EvJsonNode));
	}
	node = &tree->nodes[tree->count];
	memset(node, 0, sizeof(*node));
	node->name = name;
	node->value = tree->count;
	return tree->count++;
}

/* ---------------------------------------------------------------------
 * Names that come twice
 * ---------------------------------------------------------------------
 */

static int
compare_names(const EvSlice *left, const EvSlice *right)
{
	int			result = memcmp(left->data, right->data,
								Min(left->length, right->length));

	if (result == 0)
		result = (left->length > right->length) -
			(left->length < right->length);
	return result;
}

/* Merges two sorted runs, side by side, into "to". */
static void
merge_runs(EvJsonNode **to, EvJsonNode **left, EvJsonNode **right,
		   EvJsonNode **end)
{
	EvJsonNode **middle = right;

	while (left < middle || right < end)
	{
		if (right == end ||
			(left < middle &&
			 compare_names(&(*left)->name, &(*right)->name) <= 0))
			*to++ = *left++;
		else
			*to++ = *right++;
	}
}

/*
 * Sorts by name, equal names in the order they had.  Not with qsort, which
 * crafted input makes quadratic.  Returns either of the arrays.
 */
static EvJsonNode **
sort_by_name(EvJsonNode **members, EvJsonNode **room, size_t count)
{
	for (size_t width = 1; width < count; width *= 2)
	{
		EvJsonNode **sorted = room;

		for (size_t start = 0; start < count; start += 2 * width)
			merge_runs(room + start, members + start,
					   members + Min(start + width, count),
					   members + Min(start + 2 * width, count));
		room = members;
		members = sorted;
	}
	return members;
}

/*
 * Makes of members with one name what a Java map makes of them: the position
 * of the first, the value of the last.
 */
static void
merge_duplicates(EvJsonTree *tree, size_t object, size_t count)
{
	EvJsonNode **room;
	EvJsonNode **members;
	EvJsonNode *first;
	size_t		i = 0;

	if (count < 2)
		return;
	room = palloc(2 * count * sizeof(EvJsonNode *));
	for (size_t at = object + 1; at < tree->count; at = tree->nodes[at].next)
		room[i++] = &tree->nodes[at];
	Assert(i == count);
	members = sort_by_name(room, room + count, count);
	first = members[0];
	for (i = 1; i < count; i++)
	{
		if (compare_names(&first->name, &members[i]->name) != 0)
			first = members[i];
		else
		{
			first->value = members[i] - tree->nodes;
			members[i]->value = DROPPED;
		}
	}
	pfree(room);
}

/* ---------------------------------------------------------------------
 * Reading
 * ---------------------------------------------------------------------
 */

static EvJsonError
read_member(Reader *reader)
{
	EvSlice		name;
	EvJsonError error;

	skip_space(reader);
	error = read_string(reader, &name);
	if (error != EV_JSON_FINE)
		return error;
	return take(reader, ':') ? read_value(reader, name) : EV_JSON_INVALID;
}

/* Reads what follows an opening bracket, with the closing one. */
static EvJsonError
read_contents(Reader *reader, bool object, size_t *count)
{
	char		closing = object ? '}' : ']';
	EvSlice		no_name = {NULL, 0};

	*count = 0;
	if (take(reader, closing))
		return EV_JSON_FINE;
	do
	{
		EvJsonError error = object ? read_member(reader) :
		read_value(reader, no_name);

		if (error != EV_JSON_FINE)
			return error;
		(*count)++;
	} while (take(reader, ','));
	return take(reader, closing) ? EV_JSON_FINE : EV_JSON_INVALID;
}

static EvJsonError
read_container(Reader *reader, size_t position)
{
	bool		object = *reader->at++ == '{';
	size_t		count;
	EvJsonError error;

	/* The whole does not count. */
	if (reader->depth > EV_JSON_TREE_MAX_DEPTH)
		return EV_JSON_DEPTH;
	reader->tree->nodes[position].kind = object ? EV_JSON_OBJECT :
		EV_JSON_ARRAY;
	reader->depth++;
	error = read_contents(reader, object, &count);
	reader->depth--;
	if (error == EV_JSON_FINE && object)
		merge_duplicates(reader->tree, position, count);
	return error;
}

/* Reads a value other than array and object. */
static EvJsonError
read_scalar(Reader *reader, EvJsonNode *node)
{
	if (take_word(reader, "null", &node->text))
		node->kind = EV_JSON_NULL;
	else if (take_word(reader, "true", &node->text) ||
			 take_word(reader, "false", &node->text))
		node->kind = EV_JSON_BOOLEAN;
	else if (ev_json_scan_number(&reader->at, reader->end, &node->text))
		node->kind = EV_JSON_NUMBER;
	else
	{
		node->kind = EV_JSON_STRING;
		return read_string(reader, &node->text);
	}
	return EV_JSON_FINE;
}

static EvJsonError
read_value(Reader *reader, EvSlice name)
{
	EvJsonTree *tree = reader->tree;
	size_t		position = add_node(tree, name);
	EvJsonError error;

	skip_space(reader);
	if (reader->at < reader->end &&
		(*reader->at == '{' || *reader->at == '['))
		error = read_container(reader, position);
	else
		error = read_scalar(reader, &tree->nodes[position]);
	tree->nodes[position].next = tree->count;
	return error;
}

/* Reads the value that the text begins with; reader->at is behind it then. */
static EvJsonError
read_first(Reader *reader)
{
	EvJsonTree *tree = reader->tree;
	size_t		length = reader->end - reader->at;
	EvSlice		no_name = {NULL, 0};

	memset(tree, 0, sizeof(*tree));
	if (length > EV_JSON_TREE_MAX_TEXT)
		return EV_JSON_TOO_LONG;
	tree->capacity = 16;
	tree->nodes = palloc(tree->capacity * sizeof(EvJsonNode));
	tree->text = palloc(Max(length, 1));
	return read_value(reader, no_name);
}

/*
 * Read the value that a text begins with, whatever follows it.  The tree
 * points into the text, and is to be freed whatever comes back.
 */
EvJsonError
ev_json_tree_read_first(EvJsonTree *tree, const char *text, size_t length)
{
	Reader		reader = {tree, text, text + length, 0};

	return read_first(&reader);
}

/*
 * The same for a text that is one value.
 */
EvJsonError
ev_json_tree_read(EvJsonTree *tree, const char *text, size_t length)
{
	Reader		reader = {tree, text, text + length, 0};
	EvJsonError error = read_first(&reader);

	skip_space(&reader);
	if (error == EV_JSON_FINE && reader.at < reader.end)
		error = EV_JSON_INVALID;
	return error;
}

void
ev_json_tree_free(EvJsonTree *tree)
{
	if (tree->nodes == NULL)
		return;
	pfree(tree->nodes);
	pfree(tree->text);
}

/* ---------------------------------------------------------------------
 * Writing
 * ---------------------------------------------------------------------
 */

/*
 * The value that counts for a member; NULL if it is null, or if the member is
 * one that another of its name stands for.
 */
const EvJsonNode *
ev_json_tree_value(const EvJsonTree *tree, const EvJsonNode *member)
{
	const EvJsonNode *value;

	if (member->value == DROPPED)
		return NULL;
	value = &tree->nodes[member->value];
	return value->kind == EV_JSON_NULL ? NULL : value;
}

static void append_value(StringInfo out, const EvJsonTree *tree,
						 const EvJsonNode *node);

static void
append_container(StringInfo out, const EvJsonTree *tree,
				 const EvJsonNode *container)
{
	bool		object = container->kind == EV_JSON_OBJECT;
	bool		first = true;

	appendStringInfoCharMacro(out, object ? '{' : '[');
	for (size_t at = container - tree->nodes + 1; at < container->next;
		 at = tree->nodes[at].next)
	{
		const EvJsonNode *node = &tree->nodes[at];
		const EvJsonNode *value = object ? ev_json_tree_value(tree, node) : node;

		if (value == NULL)
			continue;
		if (!first)
			appendStringInfoCharMacro(out, ',');
		first = false;
		if (object)
		{
			ev_json_append_string(out, node->name.data, node->name.length);
			appendStringInfoCharMacro(out, ':');
		}
		append_value(out, tree, value);
	}
	appendStringInfoCharMacro(out, object ? '}' : ']');
}

static void
append_value(StringInfo out, const EvJsonTree *tree, const EvJsonNode *node)
{
	switch (node->kind)
	{
		case EV_JSON_NULL:
		case EV_JSON_BOOLEAN:
			appendBinaryStringInfo(out, node->text.data, node->text.length);
			break;
		case EV_JSON_NUMBER:
			ev_json_append_number(out, &node->text);
			break;
		case EV_JSON_STRING:
			ev_json_append_string(out, node->text.data, node->text.length);
			break;
		case EV_JSON_ARRAY:
		case EV_JSON_OBJECT:
			append_container(out, tree, node);
			break;
	}
}

/*
 * Append the whole, in canonical form.
 */
void
ev_json_tree_append(StringInfo out, const EvJsonTree *tree)
{
	append_value(out, tree, &tree->nodes[0]);
}

/*
 * The value of the named member of the whole, which is an object; NULL if it
 * has none or a null.
 */
const EvJsonNode *
ev_json_tree_member(const EvJsonTree *tree, const char *name)
{
	EvSlice		wanted = {name, strlen(name)};

	Assert(tree->nodes[0].kind == EV_JSON_OBJECT);
	for (size_t at = 1; at < tree->count; at = tree->nodes[at].next)
	{
		if (tree->nodes[at].value != DROPPED &&
			compare_names(&tree->nodes[at].name, &wanted) == 0)
			return ev_json_tree_value(tree, &tree->nodes[at]);
	}
	return NULL;
}
