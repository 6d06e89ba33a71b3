/*-------------------------------------------------------------------------
 *
 * headers.c
 *	  The argument "headers" of the functions that send.
 *
 * Checks what the caller gave and refuses, naming the header, whatever could
 * not be published later; turns it into the text that goes into column
 * "headers" of eventuate.message.  Headers of plain records are stored as they
 * are, so they are only checked and measured.
 *
 * All text here is in the database's encoding.  No state; a restart is
 * nothing to it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "headers.h"
#include "json.h"
#include "message.h"

/* What Kafka's record format adds to one header; an upper bound. */
#define HEADER_OVERHEAD 10

/* ---------------------------------------------------------------------
 * Eventuate messages
 * ---------------------------------------------------------------------
 */

/* Adds a member; the first one opens the object. */
static void
append_member(StringInfo out, const char *name, size_t name_length,
			  const char *value, size_t value_length)
{
	appendStringInfoChar(out, out->len == 0 ? '{' : ',');
	ev_json_append_string(out, name, name_length);
	appendStringInfoChar(out, ':');
	ev_json_append_string(out, value, value_length);
}

/* Adds a header to an object that is being built; the caller closes it. */
void
ev_headers_append(StringInfo out, const char *name, const char *value,
				  size_t length)
{
	append_member(out, name, strlen(name), value, length);
}

/* The same with a text. */
void
ev_headers_append_text(StringInfo out, const char *name, const text *value)
{
	ev_headers_append(out, name, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* Is the header's name this one? */
static bool
is_named(const JsonbValue *name, const char *expected)
{
	return name->val.string.len == strlen(expected) &&
		memcmp(name->val.string.val, expected, name->val.string.len) == 0;
}

/* Refuses a name that the function itself gives a value. */
static void
check_name(const JsonbValue *name, const EvHeaderRules *rules)
{
	static const char *const always[] = {
		EV_HEADER_ID, EV_HEADER_DATE, EV_HEADER_DESTINATION
	};
	const char *found = NULL;

	for (int i = 0; i < lengthof(always); i++)
	{
		if (is_named(name, always[i]))
			found = always[i];
	}
	for (int i = 0; i < lengthof(rules->reserved) && rules->reserved[i] != NULL; i++)
	{
		if (is_named(name, rules->reserved[i]))
			found = rules->reserved[i];
	}
	if (rules->prefix != NULL &&
		name->val.string.len >= strlen(rules->prefix) &&
		memcmp(name->val.string.val, rules->prefix, strlen(rules->prefix)) == 0)
		found = pnstrdup(name->val.string.val, name->val.string.len);
	if (found != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("header \"%s\" is reserved", found),
				 errdetail("%s sets it for each message.", rules->function),
				 errhint("Leave it out, or choose another name.")));
}

/* Throws; the hint depends on what else would have been possible. */
static void
refuse_value(const JsonbValue *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of header \"%.*s\" is not a string",
					name->val.string.len, name->val.string.val),
			 errhint("%s", hint)));
}

/*
 * PARTITION_ID among the headers is another way to give the key, not a second
 * key.  Sets *key if the caller gave none.
 */
static void
check_partition_id(const JsonbValue *value, text **key)
{
	if (*key == NULL)
		*key = cstring_to_text_with_len(value->val.string.val,
										value->val.string.len);
	if (VARSIZE_ANY_EXHDR(*key) != value->val.string.len ||
		memcmp(VARDATA_ANY(*key), value->val.string.val,
			   value->val.string.len) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("header \"%s\" differs from the key",
						EV_HEADER_PARTITION_ID),
				 errdetail("The header is \"%.*s\", the key is \"%.*s\".",
						   value->val.string.len, value->val.string.val,
						   (int) VARSIZE_ANY_EXHDR(*key), VARDATA_ANY(*key)),
				 errhint("Give only the key: it becomes the header.")));
}

/*
 * Adds the caller's headers, in jsonb's order.  *key is as in
 * ev_headers_begin().  Returns whether PARTITION_ID was among them.
 */
static bool
append_jsonb(StringInfo out, Jsonb *headers, const EvHeaderRules *rules,
			 text **key)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue	name;
	JsonbValue	value;
	bool		has_partition_id = false;

	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("headers must be a JSON object"),
				 errhint("Write headers like {\"name\": \"value\"}.")));
	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		check_name(&name, rules);
		if (value.type != jbvString)
			refuse_value(&name, "Write the value in double quotes, or leave the header out.");
		if (is_named(&name, EV_HEADER_PARTITION_ID))
		{
			check_partition_id(&value, key);
			has_partition_id = true;
		}
		append_member(out, name.val.string.val, name.val.string.len,
					  value.val.string.val, value.val.string.len);
	}
	return has_partition_id;
}

/*
 * Begins the headers of a message: the caller's (NULL: none), then the key.
 * *key is the key that the caller gave, or NULL; afterwards it is the value of
 * PARTITION_ID, if there is one.  What follows is appended, and the object
 * closed, by others.
 */
void
ev_headers_begin(StringInfo out, Jsonb *given, const EvHeaderRules *rules,
				 text **key)
{
	bool		has_partition_id = false;

	initStringInfo(out);
	if (given != NULL)
		has_partition_id = append_jsonb(out, given, rules, key);
	if (*key != NULL && !has_partition_id)
		ev_headers_append_text(out, EV_HEADER_PARTITION_ID, *key);
}

/*
 * Adds, under the names that they have in a reply, the headers of a request
 * that only commands have: they go back to who sent it.  The request's headers
 * are an object.
 */
void
ev_headers_append_echoes(StringInfo out, Jsonb *request)
{
	static const int prefix_length = sizeof(EV_HEADER_COMMAND_PREFIX) - 1;
	JsonbIterator *iterator = JsonbIteratorInit(&request->root);
	JsonbIteratorToken token;
	JsonbValue	name;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (name.val.string.len < prefix_length ||
			memcmp(name.val.string.val, EV_HEADER_COMMAND_PREFIX, prefix_length) != 0)
			continue;
		if (value.type != jbvString)
			refuse_value(&name, "Pass the headers of the command as they came.");
		ev_headers_append(out,
						  psprintf(EV_HEADER_ECHO_PREFIX "%.*s",
								   name.val.string.len - prefix_length,
								   name.val.string.val + prefix_length),
						  value.val.string.val, value.val.string.len);
	}
}

/* ---------------------------------------------------------------------
 * Plain records
 * ---------------------------------------------------------------------
 */

/* Length in UTF-8; throws if the string has no UTF-8 form. */
static size_t
utf8_length(const JsonbValue *string)
{
	const char *value = string->val.string.val;
	const char *utf8 = pg_server_to_any(value, string->val.string.len, PG_UTF8);

	return utf8 == value ? string->val.string.len : strlen(utf8);
}

/* Number of bytes that a value in base64 stands for; throws if it is none. */
static size_t
base64_length(const JsonbValue *name, const JsonbValue *string)
{
	int			size = pg_b64_dec_len(string->val.string.len);
	void	   *bytes = palloc(size + 1);
	int			length = pg_b64_decode(string->val.string.val,
									   string->val.string.len, bytes, size);

	pfree(bytes);
	if (length < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value of header \"%.*s\" is not valid base64",
						name->val.string.len, name->val.string.val)));
	return length;
}

/* Throws; elements are counted from 1. */
static void
refuse_element(int index)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("element %d of headers is not a header", index),
			 errhint("Write {\"key\": \"name\", \"value\": \"text\"}, with null for no value, or {\"key\": \"name\", \"base64\": \"bytes\"}.")));
}

/* Size of one element of the array form; throws if it is no header. */
static size_t
element_size(const JsonbValue *element, int index)
{
	JsonbContainer *object;
	JsonbValue	name;
	JsonbValue	value;
	bool		base64;

	if (element->type != jbvBinary)
		refuse_element(index);
	object = element->val.binary.data;
	if (!JsonContainerIsObject(object) || JsonContainerSize(object) != 2 ||
		getKeyJsonValueFromContainer(object, "key", strlen("key"),
									 &name) == NULL ||
		name.type != jbvString)
		refuse_element(index);
	base64 = getKeyJsonValueFromContainer(object, "base64", strlen("base64"),
										  &value) != NULL;
	if (!base64 &&
		getKeyJsonValueFromContainer(object, "value", strlen("value"),
									 &value) == NULL)
		refuse_element(index);
	if (value.type == jbvNull && !base64)
		return utf8_length(&name) + HEADER_OVERHEAD;
	if (value.type != jbvString)
		refuse_value(&name, "Write the value in double quotes.");
	return utf8_length(&name) + HEADER_OVERHEAD +
		(base64 ? base64_length(&name, &value) : utf8_length(&value));
}

/* Size of the object form; throws if a value is not a string. */
static size_t
object_size(Jsonb *headers)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue	name;
	JsonbValue	value;
	size_t		size = 0;

	while ((token = JsonbIteratorNext(&iterator, &name, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type != jbvString)
			refuse_value(&name, "Write the value in double quotes; an array like [{\"key\": \"name\", \"value\": null}] can hold a null.");
		size += utf8_length(&name) + utf8_length(&value) + HEADER_OVERHEAD;
	}
	return size;
}

/* Size of the array form. */
static size_t
array_size(Jsonb *headers)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue	element;
	size_t		size = 0;
	int			index = 0;

	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM)
			size += element_size(&element, ++index);
	}
	return size;
}

/*
 * What the headers of a plain record add to its size: an object of strings, or
 * an array, in which names may come twice and values be null or bytes.  Throws
 * if they are neither.
 */
size_t
ev_headers_record_size(Jsonb *headers)
{
	if (JB_ROOT_IS_OBJECT(headers))
		return object_size(headers);
	if (JB_ROOT_IS_ARRAY(headers) && !JB_ROOT_IS_SCALAR(headers))
		return array_size(headers);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("headers must be a JSON object or an array"),
			 errhint("Write headers like {\"name\": \"value\"} or [{\"key\": \"name\", \"value\": \"text\"}].")));
}
