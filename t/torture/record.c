/*-------------------------------------------------------------------------
 *
 * record.c
 *	  One record from Kafka as a line: who sent it, and is it what was sent?
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

static uint32_t
hash(const char *data, size_t length)
{
	uint32_t	h = 2166136261u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char) data[i]) * 16777619u;
	return h == 0 ? 1 : h;
}

/* The hash of a message's id in its envelope; 0: it is a bare record. */
static uint32_t
hash_id(const char *value, size_t length)
{
	static const char name[] = "\"ID\":\"";
	const char *id = memmem(value, length, name, strlen(name));
	const char *end = id ? memchr(id + strlen(name), '"', value + length - id - strlen(name)) : NULL;

	if (value[0] != '{' || end == NULL)
		return 0;
	id += strlen(name);
	return hash(id, end - id);
}

/* Is this the value of such a record, to the last byte of its payload? */
static bool
intact(const char *filler, const char *end, int length, int client, int transaction_number, int number, bool message)
{
	char	   *expected;
	bool		same;

	if (length < 0 || end - filler < length)
		return false;
	expected = malloc(length + 1);
	fill(expected, length, client, transaction_number, number);
	same = memcmp(filler, expected, length) == 0;
	free(expected);
	filler += length;
	if (!message)
		return same && filler == end;
	return same && end - filler > 2 && memcmp(filler, "\",\"headers\":{", 13) == 0 && end[-1] == '}';
}

void
print_record(int topic, const rd_kafka_message_t *record)
{
	static const char envelope[] = "{\"payload\":\"";
	const char *value = record->payload ? record->payload : "";
	const char *end = value + record->len;
	bool		message = record->len > strlen(envelope) && memcmp(value, envelope, strlen(envelope)) == 0;
	const char *payload = message ? value + strlen(envelope) : value;
	char		start[200];
	size_t		length = end - payload < 199 ? end - payload : 199;
	int			client = -1;
	int			number = 0;
	int			n = 0;
	long		its_turn = 0;
	int			filler = 0;
	int			filler_length = 0;
	bool		good;

	memcpy(start, payload, length);
	start[length] = '\0';
	good = sscanf(start, "T.%d.%d.%d.%ld.%d.%n", &client, &number, &n, &its_turn, &filler_length, &filler) == 5 && filler > 0;
	if (!good)
		client = -1;
	good = good && intact(payload + filler, end, filler_length, client, number, n, message);
	printf("%d %d %ld %ld %.*s %d %d %d %ld %u %d\n", topic, record->partition,
		   (long) record->offset, (long) rd_kafka_message_timestamp(record, NULL),
		   record->key_len > 0 ? (int) record->key_len : 1, record->key_len > 0 ? (char *) record->key : "-",
		   client, number, n, its_turn, message ? hash_id(value, record->len) : 0, good);
}
