/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Statements that send many records, in each of the ways there are.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "session.h"

#define KEYS 4

static const char *const statements[] = {
	[SEND] = "SELECT count(eventuate_send(topic, payload, key))"
	" FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key)",
	[PRODUCE] = "SELECT count(eventuate_produce(topic, payload, key))"
	" FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key)",
	[INSERT] = "INSERT INTO eventuate.message (id, destination, headers, payload, published, creation_time)"
	" SELECT id, topic, '{\"PARTITION_ID\":\"' || key || '\",\"ID\":\"' || id || '\"}', payload, 0, 1"
	" FROM (SELECT eventuate.next_id() AS id, * FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key) OFFSET 0) AS r",
	[TRAM] = "INSERT INTO eventuate.message (id, destination, headers, payload, published, creation_time)"
	" SELECT id, topic, '{\"PARTITION_ID\":\"' || key || '\",\"ID\":\"' || id || '\"}', payload, 0, 1"
	" FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u(topic, payload, key, id)",
	[ALONE] = "INSERT INTO truth (client, transaction, records)"
	" SELECT $4::int, $5::int, count(eventuate_send(topic, payload, key))"
	" FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key)",
};

static void
append_payload(Text *text, int number, int length)
{
	append(text, "T.%d.%d.%d.%ld.%d.", me, transaction, number, turn, length);
	reserve(text, length);
	fill(text->data + text->length, length, me, transaction, number);
	text->length += length;
	text->data[text->length] = '\0';
}

static int
random_length(int count)
{
	int			kind = below(1000);

	if (kind < 700 || count > 200)
		return below(200);
	if (kind < 950)
		return below(2000);
	if (kind < 995)
		return 2000 + below(8000);
	return 10000 + below(150000);
}

/* An id as Java's producers make it, from the clock. */
static void
append_id(Text *text)
{
	static uint64_t last = 0;
	static int	counter = 0;
	uint64_t	now = (uint64_t) now_ms(CLOCK_REALTIME);

	if (now > last)
	{
		last = now;
		counter = 0;
	}
	else if (++counter == 65536)
	{
		last++;
		counter = 0;
	}
	append(text, "%016lx-0242ac1100%02x%04x", (unsigned long) last, me, counter);
}

bool
send_rows(Style style, int first, int count)
{
	static Text topics;
	static Text payloads;
	static Text keys;
	static Text ids;
	char		client_text[20];
	char		transaction_text[20];

	topics.length = payloads.length = keys.length = ids.length = 0;
	for (int i = 0; i < count; i++)
	{
		char		before = i == 0 ? '{' : ',';
		int			key = below(KEYS);

		if (turn > 0)
		{
			append(&topics, "%ctorture.0", before);
			append(&keys, "%cturn", before);
		}
		else if (style == TRAM)
		{
			append(&topics, "%ctorture.1", before);
			append(&keys, "%c%d.tram", before, me);
		}
		else
		{
			append(&topics, "%ctorture.%d", before, key % 3);
			append(&keys, "%c%d.%d", before, me, key);
		}
		append(&payloads, "%c", before);
		append_payload(&payloads, first + i, random_length(count));
		append(&ids, "%c", before);
		if (style == TRAM)
			append_id(&ids);
	}
	append(&topics, "}");
	append(&payloads, "}");
	append(&keys, "}");
	append(&ids, "}");
	snprintf(client_text, sizeof(client_text), "%d", me);
	snprintf(transaction_text, sizeof(transaction_text), "%d", transaction);
	{
		const char *values[] = {topics.data, payloads.data, keys.data,
		style == ALONE ? client_text : ids.data, transaction_text};

		return done(PQexecParams(connection, statements[style], style == ALONE ? 5 : style == TRAM ? 4 : 3,
								 NULL, values, NULL, NULL, 0));
	}
}
