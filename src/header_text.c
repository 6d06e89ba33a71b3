/*-------------------------------------------------------------------------
 *
 * header_text.c
 *	  The headers column of a row of Tram's: JSON in, canonical JSON out.
 *
 * Nearly every row holds headers that Jackson has written: those are
 * recognised and go into the record as they are.  Anything else is parsed and
 * written afresh, as the CDC service would write it.
 *
 * Promises: the output is byte for byte Jackson's; nothing is read outside
 * the text passed in, whatever it holds; no function throws, but for running
 * out of memory or past the size of a StringInfo (1 GB), from which the
 * caller is safe if it has checked the size of the row.  There is no state,
 * so a restart changes nothing.
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

#include "header_text.h"
#include "json_tree.h"
#include "message.h"

/* Rows of more names than this are checked for duplicates by sorting. */
#define MAX_FAST_NAMES 64

static const char *const reasons[] = {
	[EV_JSON_INVALID] = "headers are not valid JSON",
	[EV_JSON_SURROGATE] = "headers hold an unpaired surrogate",
	[EV_JSON_NUL] = "headers hold a NUL character",
	[EV_JSON_DEPTH] = "headers are nested too deeply",
	[EV_JSON_TOO_LONG] = "headers are too long"
};

static inline bool
slice_equals(const EvSlice *slice, const char *data, size_t length)
{
	return slice->length == length && memcmp(slice->data, data, length) == 0;
}

/*
 * Recognises headers that Jackson could have written, which is what nearly
 * every row holds: then they go into the record as they are.  The slices are
 * those of the values of ID and PARTITION_ID, not unescaped; their data must
 * be NULL before.
 *
 * Equal names have equal canonical text, so comparing that finds duplicates.
 * It is quadratic, hence the limit.
 */
static bool
scan_canonical(const char *text, size_t length, EvSlice *id,
			   EvSlice *partition_id)
{
	const char *at = text + 1;
	const char *end = text + length;
	EvSlice		names[MAX_FAST_NAMES];
	int			count;

	if (length < 2 || *text != '{')
		return false;
	if (*at == '}')
		return length == 2;
	for (count = 0; count < MAX_FAST_NAMES; count++)
	{
		EvSlice    *name = &names[count];
		EvSlice		value;
		int			i;

		if (!ev_json_scan_string(&at, end, name) || at == end || *at++ != ':' ||
			!ev_json_scan_string(&at, end, &value) || at == end)
			return false;
		for (i = 0; i < count; i++)
		{
			if (slice_equals(&names[i], name->data, name->length))
				return false;
		}
		if (slice_equals(name, EV_HEADER_ID, EV_LITERAL_LENGTH(EV_HEADER_ID)))
			*id = value;
		else if (slice_equals(name, EV_HEADER_PARTITION_ID,
							  EV_LITERAL_LENGTH(EV_HEADER_PARTITION_ID)))
			*partition_id = value;
		if (*at == '}')
			return at + 1 == end;
		if (*at++ != ',')
			return false;
	}
	return false;
}

/*
 * Finds the value of ID or PARTITION_ID, which may be missing but not be
 * other than a string.  Returns a reason, or NULL.
 */
static const char *
find_string(const EvJsonTree *tree, const char *name, const char *reason,
			EvSlice *value)
{
	const EvJsonNode *node = ev_json_tree_member(tree, name);

	if (node == NULL)
		return NULL;
	if (node->kind != EV_JSON_STRING)
		return reason;
	*value = node->text;
	return NULL;
}

/*
 * Copies a string to the end of scratch, which must have room.
 */
static const char *
keep(const EvSlice *value, StringInfo scratch, size_t *length)
{
	*length = value->length;
	if (value->data == NULL)
		return NULL;
	Assert(value->length < (size_t) (scratch->maxlen - scratch->len));
	appendBinaryStringInfo(scratch, value->data, value->length);
	return scratch->data + scratch->len - value->length;
}

/*
 * Writes the headers of a tree.  Returns a reason, or NULL.
 */
static const char *
write_headers(const EvJsonTree *tree, StringInfo scratch,
			  EvHeaderText *headers)
{
	EvSlice		id = {0};
	EvSlice		partition_id = {0};
	const char *reason;

	reason = find_string(tree, EV_HEADER_ID,
						 "header \"" EV_HEADER_ID "\" is not a string", &id);
	if (reason == NULL)
		reason = find_string(tree, EV_HEADER_PARTITION_ID,
							 "header \"" EV_HEADER_PARTITION_ID "\" is not a string",
							 &partition_id);
	if (reason != NULL)
		return reason;
	ev_json_tree_append(scratch, tree);
	headers->json_length = scratch->len;
	/* From here on scratch must not move. */
	enlargeStringInfo(scratch, id.length + partition_id.length);
	headers->json = scratch->data;
	headers->id = keep(&id, scratch, &headers->id_length);
	headers->partition_id = keep(&partition_id, scratch,
								 &headers->partition_id_length);
	return NULL;
}

/*
 * ev_header_text_parse for text of any form.
 */
static const char *
parse_any(const char *text, size_t length, StringInfo scratch,
		  EvHeaderText *headers)
{
	const char *start = text;
	EvJsonTree	tree;
	EvJsonError error;
	const char *reason;

	while (start < text + length && memchr(" \t\n\r", *start, 4) != NULL)
		start++;
	if (start == text + length || *start != '{')
		return "headers are not a JSON object";
	error = ev_json_tree_read(&tree, text, length);
	reason = error == EV_JSON_FINE ? write_headers(&tree, scratch, headers) :
		reasons[error];
	ev_json_tree_free(&tree);
	return reason;
}

/*
 * Returns the text of a canonical string: itself, or, if it holds escapes, a
 * copy at the end of scratch, which must have room.
 */
static const char *
unescape(const EvSlice *canonical, StringInfo scratch, size_t *length)
{
	char	   *to = scratch->data + scratch->len;
	const char *at;
	EvJsonError error PG_USED_FOR_ASSERTS_ONLY;

	*length = canonical->length;
	if (canonical->data == NULL ||
		memchr(canonical->data, '\\', canonical->length) == NULL)
		return canonical->data;
	Assert(canonical->length < (size_t) (scratch->maxlen - scratch->len));
	at = canonical->data - 1;
	error = ev_json_read_string(&at, canonical->data + canonical->length + 1,
								to, length);
	Assert(error == EV_JSON_FINE);
	scratch->len += *length;
	return to;
}

/*
 * Check the headers column of a row and bring it into the form in which it
 * goes into the record: that of Jackson after reading the text into a map and
 * writing the map.  White space goes, strings are escaped afresh, numbers are
 * Java's, of a name that comes twice the first position and the last value
 * stay, null values go.  An ID or PARTITION_ID that is no string is refused,
 * and so is what PostgreSQL refuses in a string: half a surrogate pair and
 * U+0000.
 *
 * Returns NULL and fills headers, or returns the reason why the row is not a
 * message: lower case, no full stop, UTF-8.  scratch is the caller's and is
 * reset here; headers and the reason may point into text and scratch, and are
 * valid as long as both are left alone.  Text that is canonical already, as
 * unmodified producers write it, is not copied.
 */
const char *
ev_header_text_parse(const char *text, size_t length, StringInfo scratch,
					 EvHeaderText *headers)
{
	EvSlice		id = {0};
	EvSlice		partition_id = {0};

	memset(headers, 0, sizeof(*headers));
	resetStringInfo(scratch);
	if (!scan_canonical(text, length, &id, &partition_id))
		return parse_any(text, length, scratch, headers);

	headers->json = text;
	headers->json_length = length;
	/* Both at once: scratch must not move between them. */
	enlargeStringInfo(scratch, id.length + partition_id.length);
	headers->id = unescape(&id, scratch, &headers->id_length);
	headers->partition_id = unescape(&partition_id, scratch,
									 &headers->partition_id_length);
	return NULL;
}
