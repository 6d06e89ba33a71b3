/*-------------------------------------------------------------------------
 *
 * spool.c
 *	  Messages that have to wait, first in, first out.
 *
 * In memory as far as the spool's owner allows, beyond that in a temporary
 * file: a transaction may hold a million messages that Kafka does not want,
 * and none of them may be forgotten.  A spool is PostgreSQL's
 * tuplestore with one message a tuple.
 *
 * Spools live no longer than the process; what was in them is still in WAL.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

#include "spool.h"

/* Bytes are kept as "text", which nobody looks into. */
enum
{
	COLUMN_RECORD,
	COLUMN_ID,
	COLUMN_TOPIC,
	COLUMN_KEY,
	COLUMN_VALUE,
	COLUMN_HEADERS,
	COLUMN_PARTITION,
	COLUMN_TIMESTAMP,
	COLUMN_ERROR_NAME,
	COLUMN_ERROR,
	COLUMN_COUNT
};

struct EvSpool
{
	MemoryContext context;
	TupleDesc	desc;
	Tuplestorestate *store;
	TupleTableSlot *slot;		/* the first message, if it was looked at */
	uint64		count;
};

static TupleDesc
make_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(COLUMN_COUNT);

	for (int i = 0; i < COLUMN_COUNT; i++)
	{
		Oid			type = TEXTOID;

		if (i == COLUMN_TIMESTAMP)
			type = INT8OID;
		else if (i == COLUMN_PARTITION)
			type = INT4OID;
		TupleDescInitBuiltinEntry(desc, i + 1, "c", type, -1, 0);
	}
	return desc;
}

/* What the headers of a message take, in bytes. */
size_t
ev_spool_headers_size(const EvMessage *message)
{
	size_t		size = 0;

	for (int i = 0; i < message->header_count; i++)
		size += strlen(message->headers[i].name) +
			message->headers[i].value_length;
	return size;
}

/* What all of a message takes, in bytes. */
size_t
ev_spool_message_size(const EvMessage *message)
{
	size_t		size = message->key_length + message->value_length;

	size += message->id == NULL ? 0 : strlen(message->id);
	size += message->topic == NULL ? 0 : strlen(message->topic);
	return size + ev_spool_headers_size(message);
}

/* An empty spool, to be in memory up to so many kB, at least 64. */
EvSpool *
ev_spool_create(int memory)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "eventuate spool",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	EvSpool    *spool = palloc0(sizeof(EvSpool));
	ResourceOwner owner = CurrentResourceOwner;

	spool->context = context;
	spool->desc = make_desc();

	/* It outlives transactions, and so must whatever it remembers. */
	CurrentResourceOwner = NULL;
	spool->store = tuplestore_begin_heap(false, true, memory);
	tuplestore_set_eflags(spool->store, 0);
	CurrentResourceOwner = owner;
	spool->slot = MakeSingleTupleTableSlot(spool->desc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(old_context);
	return spool;
}

void
ev_spool_destroy(EvSpool *spool)
{
	tuplestore_end(spool->store);
	MemoryContextDelete(spool->context);
}

static Datum
bytes_datum(const char *bytes, size_t length, bool *null)
{
	*null = bytes == NULL;
	return *null ? (Datum) 0 :
		PointerGetDatum(cstring_to_text_with_len(bytes, length));
}

static Datum
string_datum(const char *string, bool *null)
{
	return bytes_datum(string, string ? strlen(string) : 0, null);
}

/* Headers as bytes: name with its NUL, length of the value or -1, value. */
static void
pack_headers(StringInfo out, const EvMessage *message)
{
	for (int i = 0; i < message->header_count; i++)
	{
		const EvHeader *header = &message->headers[i];
		int32		length = header->value ? (int32) header->value_length : -1;

		appendBinaryStringInfo(out, header->name, strlen(header->name) + 1);
		appendBinaryStringInfo(out, (char *) &length, sizeof(length));
		if (length > 0)
			appendBinaryStringInfo(out, header->value, length);
	}
}

static void
unpack_headers(const char *bytes, size_t length, EvMessage *message)
{
	const char *end = bytes + length;
	EvHeader   *headers = NULL;
	int			count = 0;

	while (bytes < end)
	{
		int32		value_length;

		headers = headers == NULL ? palloc(sizeof(EvHeader)) :
			repalloc(headers, sizeof(EvHeader) * (count + 1));
		headers[count].name = bytes;
		bytes += strlen(bytes) + 1;
		memcpy(&value_length, bytes, sizeof(value_length));
		bytes += sizeof(value_length);
		headers[count].value = value_length < 0 ? NULL : bytes;
		headers[count].value_length = Max(value_length, 0);
		bytes += Max(value_length, 0);
		count++;
	}
	message->headers = headers;
	message->header_count = count;
}

/* Appends a copy of the message. */
void
ev_spool_put(EvSpool *spool, const EvSpooled *spooled)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "eventuate spooled message",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	const EvMessage *message = &spooled->message;
	Datum		values[COLUMN_COUNT];
	bool		nulls[COLUMN_COUNT] = {0};
	StringInfoData headers;

	initStringInfo(&headers);
	pack_headers(&headers, message);
	values[COLUMN_RECORD] = bytes_datum(spooled->record, spooled->record_length,
										&nulls[COLUMN_RECORD]);
	values[COLUMN_ID] = string_datum(message->id, &nulls[COLUMN_ID]);
	values[COLUMN_TOPIC] = string_datum(message->topic, &nulls[COLUMN_TOPIC]);
	values[COLUMN_KEY] = bytes_datum(message->key, message->key_length,
									 &nulls[COLUMN_KEY]);
	values[COLUMN_VALUE] = bytes_datum(message->value, message->value_length,
									   &nulls[COLUMN_VALUE]);
	values[COLUMN_HEADERS] = bytes_datum(headers.data, headers.len,
										 &nulls[COLUMN_HEADERS]);
	values[COLUMN_PARTITION] = Int32GetDatum(message->partition);
	values[COLUMN_TIMESTAMP] = Int64GetDatum(message->timestamp);
	values[COLUMN_ERROR_NAME] = string_datum(spooled->error_name,
											 &nulls[COLUMN_ERROR_NAME]);
	values[COLUMN_ERROR] = string_datum(spooled->error, &nulls[COLUMN_ERROR]);
	tuplestore_putvalues(spool->store, spool->desc, values, nulls);
	spool->count++;
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/* A column's bytes, NUL-terminated, in the current memory context. */
static char *
column_bytes(TupleTableSlot *slot, int column, size_t *length)
{
	bool		null;
	Datum		value = slot_getattr(slot, column + 1, &null);
	text	   *bytes;
	char	   *copy;

	*length = 0;
	if (null)
		return NULL;
	bytes = DatumGetTextPP(value);
	*length = VARSIZE_ANY_EXHDR(bytes);
	copy = MemoryContextAllocHuge(CurrentMemoryContext, *length + 1);
	memcpy(copy, VARDATA_ANY(bytes), *length);
	copy[*length] = '\0';
	return copy;
}

/* The slot keeps the tuple for as long as the caller likes. */
static void
read_first(EvSpool *spool)
{
	MemoryContext old_context = MemoryContextSwitchTo(spool->context);

	if (!tuplestore_gettupleslot(spool->store, true, true, spool->slot))
		elog(ERROR, "could not read a spooled message");
	MemoryContextSwitchTo(old_context);
}

/*
 * The first message, which stays where it is, in the current memory context;
 * false: the spool is empty.
 */
bool
ev_spool_peek(EvSpool *spool, EvSpooled *spooled)
{
	EvMessage  *message = &spooled->message;
	const char *headers;
	size_t		length;
	bool		null;

	/* A tuplestore that was read to its end gives no more. */
	if (spool->count == 0)
		return false;
	if (TTS_EMPTY(spool->slot))
		read_first(spool);
	memset(spooled, 0, sizeof(EvSpooled));
	spooled->record = column_bytes(spool->slot, COLUMN_RECORD,
								   &spooled->record_length);
	message->id = column_bytes(spool->slot, COLUMN_ID, &length);
	message->topic = column_bytes(spool->slot, COLUMN_TOPIC, &length);
	message->key = column_bytes(spool->slot, COLUMN_KEY, &message->key_length);
	message->value = column_bytes(spool->slot, COLUMN_VALUE, &message->value_length);
	headers = column_bytes(spool->slot, COLUMN_HEADERS, &length);
	unpack_headers(headers, length, message);
	message->partition = DatumGetInt32(slot_getattr(spool->slot, COLUMN_PARTITION + 1, &null));
	message->timestamp = DatumGetInt64(slot_getattr(spool->slot, COLUMN_TIMESTAMP + 1, &null));
	spooled->error_name = column_bytes(spool->slot, COLUMN_ERROR_NAME, &length);
	spooled->error = column_bytes(spool->slot, COLUMN_ERROR, &length);
	return true;
}

/* Forgets the first message; not of an empty spool. */
void
ev_spool_drop(EvSpool *spool)
{
	Assert(spool->count > 0);
	if (TTS_EMPTY(spool->slot))
		read_first(spool);
	ExecClearTuple(spool->slot);
	spool->count--;
	tuplestore_trim(spool->store);
}

/*
 * Takes the first message out, into the current memory context; false: the
 * spool is empty.
 */
bool
ev_spool_get(EvSpool *spool, EvSpooled *spooled)
{
	if (!ev_spool_peek(spool, spooled))
		return false;
	ev_spool_drop(spool);
	return true;
}

uint64
ev_spool_count(const EvSpool *spool)
{
	return spool->count;
}
