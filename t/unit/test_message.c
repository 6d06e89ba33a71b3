/*-------------------------------------------------------------------------
 *
 * test_message.c
 *	  What Eventuate prescribes byte for byte, and hostile input.
 *
 * Known answers were produced by Jackson and Eventuate's own classes.  Random
 * input is compared with references that are as simple as possible: an
 * escaper that goes byte by byte; headers that are generated as a list, so
 * that the expected result needs no parser; and, for mutilated text, a parser
 * that goes byte by byte.
 *
 * All input is handed over in memory of exactly its size, so that the address
 * sanitizer sees a byte read too many.  Prints TAP; exits 1 if a test failed.
 * A seed may be given as argument.  "make t/unit/test_message" builds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "mb/pg_wchar.h"
#include "message.h"

#define MAX_TEXT 100000
#define MAX_HEADERS 200
#define CHECK(condition) check((condition), #condition, __LINE__)
#define CHECK_TEXT(data, length, expected) \
	check_text(data, length, expected, strlen(expected), __LINE__)

typedef struct Text
{
	char		data[MAX_TEXT];
	size_t		length;
} Text;

static uint64 seed;
static uint64 random_state;
static int	test_number;
static bool test_failed;
static bool any_failed;

static void
check(bool condition, const char *text, int line)
{
	if (condition)
		return;
	if (!test_failed)
		printf("# line %d: not %s (seed " UINT64_FORMAT ")\n",
			   line, text, seed);
	test_failed = true;
}

static void
check_text(const char *data, size_t length, const char *expected,
		   size_t expected_length, int line)
{
	if (data != NULL && length == expected_length &&
		memcmp(data, expected, length) == 0)
		return;
	if (!test_failed)
		printf("# line %d (seed " UINT64_FORMAT ")\n#   is: %.*s\n"
			   "#   should be: %.*s\n", line, seed,
			   data == NULL ? 4 : (int) length, data == NULL ? "NULL" : data,
			   (int) expected_length, expected);
	test_failed = true;
}

static void
end_test(const char *name)
{
	printf("%s %d - %s\n", test_failed ? "not ok" : "ok", ++test_number, name);
	any_failed |= test_failed;
	test_failed = false;
}

/* xorshift64*: the same numbers everywhere. */
static uint32
random_below(uint32 limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64CONST(0x2545F4914F6CDD1D) >> 32) % limit;
}

static void
add(Text *text, const char *data, size_t length)
{
	Assert(text->length + length < MAX_TEXT);
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

static void
add_string(Text *text, const char *data)
{
	add(text, data, strlen(data));
}

/* The text in memory of exactly its size, which may be none. */
static char *
exact_copy(const char *data, size_t length)
{
	char	   *copy = malloc(length);

	memcpy(copy, data, length);
	return copy;
}

/*-------------------------------------------------------------------------
 * Strings
 *-------------------------------------------------------------------------
 */

static void
naive_escape(Text *out, const char *data, size_t length)
{
	size_t		i;

	add(out, "\"", 1);
	for (i = 0; i < length; i++)
	{
		unsigned char c = data[i];
		char		escape[8];

		if (c == '"')
			add(out, "\\\"", 2);
		else if (c == '\\')
			add(out, "\\\\", 2);
		else if (c == '\b')
			add(out, "\\b", 2);
		else if (c == '\t')
			add(out, "\\t", 2);
		else if (c == '\n')
			add(out, "\\n", 2);
		else if (c == '\f')
			add(out, "\\f", 2);
		else if (c == '\r')
			add(out, "\\r", 2);
		else if (c < 0x20)
		{
			snprintf(escape, sizeof(escape), "\\u%04X", c);
			add(out, escape, 6);
		}
		else
			add(out, data + i, 1);
	}
	add(out, "\"", 1);
}

/* Every way to write the string agrees with "expected". */
static void
check_string(const char *data, size_t length, const char *expected,
			 size_t expected_length, int line)
{
	char	   *copy = exact_copy(data, length);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "before");
	ev_message_append_string(&out, copy, length);
	check_text(out.data + 6, out.len - 6, expected, expected_length, line);
	check(memcmp(out.data, "before", 6) == 0, "text before kept", line);
	check(out.data[out.len] == '\0', "NUL at the end", line);
	check(ev_message_string_size(copy, length) == expected_length,
		  "ev_message_string_size", line);
	pfree(out.data);
	free(copy);
}

static void
test_string_vectors(void)
{
	static const char *const vectors[][2] = {
		{"", "\"\""},
		{"a", "\"a\""},
		{"\"", "\"\\\"\""},
		{"\\", "\"\\\\\""},
		{"/", "\"/\""},
		{"<>&'", "\"<>&'\""},
		{"\x7F", "\"\x7F\""},
		{"\xE2\x80\xA8\xE2\x80\xA9", "\"\xE2\x80\xA8\xE2\x80\xA9\""},
		{"\xC3\xA9", "\"\xC3\xA9\""},
		{"\xF0\x9F\x98\x80", "\"\xF0\x9F\x98\x80\""},
		{"\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\""},
		{"\x0B\x1F", "\"\\u000B\\u001F\""},
		{"{\"customerId\":101,\"orderId\":102}",
		"\"{\\\"customerId\\\":101,\\\"orderId\\\":102}\""},
	};
	static const char *const controls[32] = {
		"\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005",
		"\\u0006", "\\u0007", "\\b", "\\t", "\\n", "\\u000B", "\\f", "\\r",
		"\\u000E", "\\u000F", "\\u0010", "\\u0011", "\\u0012", "\\u0013",
		"\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019",
		"\\u001A", "\\u001B", "\\u001C", "\\u001D", "\\u001E", "\\u001F"
	};
	int			c;
	size_t		i;

	for (i = 0; i < lengthof(vectors); i++)
		check_string(vectors[i][0], strlen(vectors[i][0]), vectors[i][1],
					 strlen(vectors[i][1]), __LINE__);
	/* Every byte alone and at every place of a longer text. */
	for (c = 0; c < 256; c++)
	{
		char		data[40];
		char		expected[60];
		size_t		at;

		for (at = 0; at < sizeof(data); at++)
		{
			Text		text = {.length = 0};

			memset(data, 'x', sizeof(data));
			data[at] = c;
			add(&text, "\"", 1);
			add(&text, data, at);
			if (c == '"' || c == '\\')
				add(&text, "\\", 1);
			if (c < 32)
				add_string(&text, controls[c]);
			else
				add(&text, data + at, 1);
			add(&text, data + at + 1, sizeof(data) - at - 1);
			add(&text, "\"", 1);
			check_string(data, sizeof(data), text.data, text.length, __LINE__);
		}
		if (c >= 32)
			continue;
		data[0] = c;
		snprintf(expected, sizeof(expected), "\"%s\"", controls[c]);
		check_string(data, 1, expected, strlen(expected), __LINE__);
	}
	end_test("strings with known answers");
}

static void
test_random_strings(void)
{
	static const char specials[] = "\"\\\b\t\n\f\r\0\x01\x1F /\x7F\x80\xFF";
	static char data[20000];
	static Text expected;
	int			i;

	for (i = 0; i < 30000 && !test_failed; i++)
	{
		size_t		length = random_below(i % 1000 == 0 ? 15000 : 100);
		uint32		density = random_below(12);
		size_t		j;

		for (j = 0; j < length; j++)
		{
			if (random_below(12) < density)
				data[j] = specials[random_below(sizeof(specials) - 1)];
			else
				data[j] = random_below(density == 11 ? 256 : 95) + 32;
		}
		expected.length = 0;
		naive_escape(&expected, data, length);
		check_string(data, length, expected.data, expected.length, __LINE__);
	}
	end_test("random strings");
}

/*-------------------------------------------------------------------------
 * Envelope
 *-------------------------------------------------------------------------
 */

#define CUSTOMER \
	"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer"
#define EXAMPLE_HEADERS \
	"{\"PARTITION_ID\":\"101\",\"event-aggregate-type\":\"" CUSTOMER "\"," \
	"\"DATE\":\"Tue, 14 Nov 2023 22:13:20 GMT\"," \
	"\"event-aggregate-id\":\"101\",\"event-type\":\"" CUSTOMER \
	"CreditReservedEvent\",\"DESTINATION\":\"" CUSTOMER "\"," \
	"\"ID\":\"0000018bcfe5687b-0242ac1200020000\"}"

static void
check_envelope(const char *payload, const char *headers, const char *expected)
{
	char	   *payload_copy = exact_copy(payload, strlen(payload));
	char	   *headers_copy = exact_copy(headers, strlen(headers));
	StringInfoData out;

	initStringInfo(&out);
	ev_message_append_envelope(&out, payload_copy, strlen(payload),
							   headers_copy, strlen(headers));
	CHECK_TEXT(out.data, out.len, expected);
	CHECK(ev_message_envelope_size(payload_copy, strlen(payload),
								   strlen(headers)) == strlen(expected));
	pfree(out.data);
	free(payload_copy);
	free(headers_copy);
}

static void
test_envelope(void)
{
	static const char example[] =
	"{\"payload\":\"{\\\"customerId\\\":101,\\\"orderId\\\":102}\","
	"\"headers\":" EXAMPLE_HEADERS "}";

	CHECK(strlen(EXAMPLE_HEADERS) == 420);
	CHECK(strlen(example) == 481);
	check_envelope("{\"customerId\":101,\"orderId\":102}", EXAMPLE_HEADERS,
				   example);
	check_envelope("", "{}", "{\"payload\":\"\",\"headers\":{}}");
	check_envelope("x", "{}", "{\"payload\":\"x\",\"headers\":{}}");
	check_envelope("\"", "{\"a\":\"b\"}",
				   "{\"payload\":\"\\\"\",\"headers\":{\"a\":\"b\"}}");
	end_test("the envelope");
}

/*-------------------------------------------------------------------------
 * Headers
 *-------------------------------------------------------------------------
 */

typedef struct Parsed
{
	char	   *text;			/* the exact copy */
	StringInfoData scratch;
	EvHeaders	headers;
	const char *reason;
} Parsed;

static void
parse(Parsed *parsed, const char *text, size_t length)
{
	parsed->text = exact_copy(text, length);
	initStringInfo(&parsed->scratch);
	appendStringInfoString(&parsed->scratch, "rubbish");
	memset(&parsed->headers, 0x55, sizeof(EvHeaders));
	parsed->reason = ev_message_parse_headers(parsed->text, length,
											  &parsed->scratch,
											  &parsed->headers);
}

static void
parse_end(Parsed *parsed)
{
	free(parsed->text);
	pfree(parsed->scratch.data);
}

static void
check_reason(const char *text, size_t length, const char *expected)
{
	Parsed		parsed;

	parse(&parsed, text, length);
	CHECK_TEXT(parsed.reason, parsed.reason ? strlen(parsed.reason) : 0,
			   expected);
	parse_end(&parsed);
}

/* NULL: there is no such header. */
static void
check_value(const char *value, size_t length, const char *expected,
			size_t expected_length, int line)
{
	if (expected == NULL)
		check(value == NULL, "header absent", line);
	else
		check_text(value, length, expected, expected_length, line);
}

static void
check_headers(const char *text, const char *json, const char *id,
			  const char *partition_id, int line)
{
	Parsed		parsed;
	const EvHeaders *headers = &parsed.headers;

	parse(&parsed, text, strlen(text));
	check(parsed.reason == NULL, text, line);
	if (parsed.reason == NULL)
	{
		check_text(headers->json, headers->json_length, json, strlen(json),
				   line);
		check_value(headers->id, headers->id_length, id,
					id ? strlen(id) : 0, line);
		check_value(headers->partition_id, headers->partition_id_length,
					partition_id, partition_id ? strlen(partition_id) : 0,
					line);
		check((headers->json == parsed.text) == (strcmp(text, json) == 0),
			  "canonical text is not copied", line);
	}
	parse_end(&parsed);
}

static void
test_header_vectors(void)
{
#define HEADERS(text, json, id, partition_id) \
	check_headers(text, json, id, partition_id, __LINE__)
	HEADERS(EXAMPLE_HEADERS, EXAMPLE_HEADERS,
			"0000018bcfe5687b-0242ac1200020000", "101");
	HEADERS("{}", "{}", NULL, NULL);
	HEADERS(" \t\r\n{ \n} ", "{}", NULL, NULL);
	HEADERS("{\"\":\"\"}", "{\"\":\"\"}", NULL, NULL);
	HEADERS("{\"ID\":\"\",\"PARTITION_ID\":\"\"}",
			"{\"ID\":\"\",\"PARTITION_ID\":\"\"}", "", "");
	HEADERS("{ \"ID\" : \"1\" , \"b\":\"2\"\n}",
			"{\"ID\":\"1\",\"b\":\"2\"}", "1", NULL);
	/* Names are case-sensitive and compared whole. */
	HEADERS("{\"id\":\"1\",\"IDX\":\"2\",\"PARTITION_IDS\":\"3\"}",
			"{\"id\":\"1\",\"IDX\":\"2\",\"PARTITION_IDS\":\"3\"}",
			NULL, NULL);
	/* Strings are escaped canonically. */
	HEADERS("{\"a\":\"\\u00e9\\u00E9\\/\"}", "{\"a\":\"\xC3\xA9\xC3\xA9/\"}",
			NULL, NULL);
	HEADERS("{\"a\":\"\\ud83d\\ude00\\uD83D\\uDE00\"}",
			"{\"a\":\"\xF0\x9F\x98\x80\xF0\x9F\x98\x80\"}", NULL, NULL);
	HEADERS("{\"a\":\"\\u0022\\u005c\\u000a\\u001f\\u0041\"}",
			"{\"a\":\"\\\"\\\\\\n\\u001FA\"}", NULL, NULL);
	HEADERS("{\"a\":\"\\u001F\\b\\t\\n\\f\\r\\\"\\\\\"}",
			"{\"a\":\"\\u001F\\b\\t\\n\\f\\r\\\"\\\\\"}", NULL, NULL);
	HEADERS("{\"a\":\"\\uFFFF\\uE000\\uD7FF\"}",
			"{\"a\":\"\xEF\xBF\xBF\xEE\x80\x80\xED\x9F\xBF\"}", NULL, NULL);
	/* Of a name that comes twice: the first position, the last value. */
	HEADERS("{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}",
			"{\"a\":\"3\",\"b\":\"2\"}", NULL, NULL);
	HEADERS("{\"ID\":\"1\",\"b\":\"2\",\"\\u0049D\":\"3\"}",
			"{\"ID\":\"3\",\"b\":\"2\"}", "3", NULL);
	HEADERS("{\"a\":\"1\",\"a\":\"2\",\"a\":\"3\"}", "{\"a\":\"3\"}",
			NULL, NULL);
	/* Null is the same as no header. */
	HEADERS("{\"ID\":null}", "{}", NULL, NULL);
	HEADERS("{\"a\":null,\"b\":\"1\",\"PARTITION_ID\": null }",
			"{\"b\":\"1\"}", NULL, NULL);
	HEADERS("{\"a\":\"1\",\"b\":\"2\",\"a\":null}", "{\"b\":\"2\"}",
			NULL, NULL);
	HEADERS("{\"a\":null,\"b\":\"2\",\"a\":\"1\"}",
			"{\"a\":\"1\",\"b\":\"2\"}", NULL, NULL);
	HEADERS("{\"a\":\"1\",\"a\":null,\"a\":\"3\",\"a\":null}", "{}",
			NULL, NULL);
	/* ID and PARTITION_ID are unescaped, whichever way they come. */
	HEADERS("{\"ID\":\"a\\\"b\",\"PARTITION_ID\":\"c\\\\d\\u001F\"}",
			"{\"ID\":\"a\\\"b\",\"PARTITION_ID\":\"c\\\\d\\u001F\"}",
			"a\"b", "c\\d\x1F");
	HEADERS("{\"PARTITION_ID\":\"\\u00e9\", \"ID\":\"a\\\"\\/b\"}",
			"{\"PARTITION_ID\":\"\xC3\xA9\",\"ID\":\"a\\\"/b\"}",
			"a\"/b", "\xC3\xA9");
#undef HEADERS
	end_test("headers with known answers");
}

static void
test_header_reasons(void)
{
	static const char *const vectors[][2] = {
		{"", "headers are not a JSON object"},
		{" ", "headers are not a JSON object"},
		{"[]", "headers are not a JSON object"},
		{"null", "headers are not a JSON object"},
		{"\"{}\"", "headers are not a JSON object"},
		{"{", "headers are not valid JSON"},
		{"}", "headers are not a JSON object"},
		{"{}}", "headers are not valid JSON"},
		{"{} x", "headers are not valid JSON"},
		{"{\"a\":\"b\"", "headers are not valid JSON"},
		{"{\"a\":\"b\",}", "headers are not valid JSON"},
		{"{,\"a\":\"b\"}", "headers are not valid JSON"},
		{"{\"a\":\"b\" \"c\":\"d\"}", "headers are not valid JSON"},
		{"{\"a\",\"b\"}", "headers are not valid JSON"},
		{"{\"a\":}", "headers are not valid JSON"},
		{"{\"a\":nul}", "headers are not valid JSON"},
		{"{\"a\":nullx}", "headers are not valid JSON"},
		{"{a:\"b\"}", "headers are not valid JSON"},
		{"{'a':'b'}", "headers are not valid JSON"},
		{"{null:\"b\"}", "headers are not valid JSON"},
		{"{\"a\":\"\n\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\x\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\U0041\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\u004\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\u00g0\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\u+041\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\", "headers are not valid JSON"},
		{"{\"a\":\"\\\"}", "headers are not valid JSON"},
		{"{\"a\":\"\\u0000\"}", "headers hold a NUL character"},
		{"{\"\\u0000\":\"a\"}", "headers hold a NUL character"},
		{"{\"a\":\"\\ud83d\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":\"\\ud83dx\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":\"\\ud83d\\n\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":\"\\ud83d\\u0041\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":\"\\ud83d\\ud83d\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":\"\\ude00\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":\"\\ude00\\ud83d\"}", "headers hold an unpaired surrogate"},
		{"{\"a\":1}", "header \"a\" is not a string"},
		{"{\"a\":-1.5e3}", "header \"a\" is not a string"},
		{"{\"a\":true}", "header \"a\" is not a string"},
		{"{\"a\":false}", "header \"a\" is not a string"},
		{"{\"a\":\"b\",\"c\": {\"d\":\"e\"}}",
		"header \"c\" is not a string"},
		{"{\"a\":[[[[[[", "header \"a\" is not a string"},
		{"{\"a\\n\\\"\\u00e9\":1}",
		"header \"a\\n\\\"\xC3\xA9\" is not a string"},
	};
	Text		text = {.length = 0};
	size_t		i;

	for (i = 0; i < lengthof(vectors); i++)
		check_reason(vectors[i][0], strlen(vectors[i][0]), vectors[i][1]);
	check_reason("{\"a\":\0\"b\"}", 9, "headers are not valid JSON");
	check_reason("{\"a\":\"\\\0\"}", 9, "headers are not valid JSON");
	check_reason("{\"a\":\"b\"}\0", 10, "headers are not valid JSON");

	/* A long name is cut where a character starts. */
	add_string(&text, "{\"x");
	for (i = 0; i < 1000; i++)
		add_string(&text, "\xC3\xA9");
	add_string(&text, "\":1}");
	check_reason(text.data, text.length, "header \"x"
				 "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
				 "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
				 "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
				 "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
				 "\xC3\xA9\xC3\xA9\xC3\xA9\" is not a string");
	end_test("headers that are refused");
}

/*
 * Headers as a list: what random text is made from, what the reference parser
 * finds, and what the expected result is computed from.
 */
typedef struct Item
{
	char		name[64];
	size_t		name_length;
	char		value[1000];
	size_t		value_length;
	bool		is_null;
} Item;

typedef struct Items
{
	Item		items[MAX_HEADERS];
	int			count;
} Items;

/* Position of the first header of that name in the list so far. */
static int
find_item(const Items *items, const char *name, size_t length)
{
	int			i;

	for (i = 0; i < items->count; i++)
	{
		if (items->items[i].name_length == length &&
			memcmp(items->items[i].name, name, length) == 0)
			break;
	}
	return i;
}

/* What a map, filled from the list, would hold; then without nulls. */
static void
to_map(const Items *items, Items *map)
{
	int			i;

	map->count = 0;
	for (i = 0; i < items->count; i++)
	{
		const Item *item = &items->items[i];
		int			at = find_item(map, item->name, item->name_length);

		map->items[at] = *item;
		if (at == map->count)
			map->count++;
	}
	for (i = 0; i < map->count;)
	{
		if (!map->items[i].is_null)
		{
			i++;
			continue;
		}
		map->count--;
		memmove(&map->items[i], &map->items[i + 1],
				(map->count - i) * sizeof(Item));
	}
}

static void
check_known_value(const Items *map, const char *name, const char *value,
				  size_t length)
{
	int			at = find_item(map, name, strlen(name));

	if (at == map->count)
		CHECK(value == NULL);
	else
		check_text(value, length, map->items[at].value,
				   map->items[at].value_length, __LINE__);
}

/* Parses the text and compares with what "items" should become. */
static void
check_parsed(const char *text, size_t length, const Items *items)
{
	static Items map;
	static Text expected;
	Parsed		parsed;
	int			i;

	to_map(items, &map);
	expected.length = 0;
	add(&expected, "{", 1);
	for (i = 0; i < map.count; i++)
	{
		if (i > 0)
			add(&expected, ",", 1);
		naive_escape(&expected, map.items[i].name, map.items[i].name_length);
		add(&expected, ":", 1);
		naive_escape(&expected, map.items[i].value,
					 map.items[i].value_length);
	}
	add(&expected, "}", 1);

	parse(&parsed, text, length);
	CHECK(parsed.reason == NULL);
	if (parsed.reason == NULL)
	{
		check_text(parsed.headers.json, parsed.headers.json_length,
				   expected.data, expected.length, __LINE__);
		check_known_value(&map, EV_HEADER_ID, parsed.headers.id,
						  parsed.headers.id_length);
		check_known_value(&map, EV_HEADER_PARTITION_ID,
						  parsed.headers.partition_id,
						  parsed.headers.partition_id_length);
		/* Not copied; longer lists may be. */
		if (length == expected.length && map.count < 50)
			CHECK((parsed.headers.json == parsed.text) ==
				  (memcmp(text, expected.data, length) == 0));
	}
	parse_end(&parsed);
}

/* A random character in UTF-8, never NUL or a surrogate. */
static size_t
random_character(char *to)
{
	pg_wchar	c;

	switch (random_below(12))
	{
		case 0:
			c = 1 + random_below(31);
			break;
		case 1:
			c = "\"\\/\x7F"[random_below(4)];
			break;
		case 2:
			c = 0x80 + random_below(0x780);
			break;
		case 3:
			c = 0x800 + random_below(0xD000);
			break;
		case 4:
			c = 0xE000 + random_below(0x2000);
			break;
		case 5:
			c = 0x10000 + random_below(0x100000);
			break;
		default:
			c = 'a' + random_below(26);
	}
	unicode_to_utf8(c, (unsigned char *) to);
	return pg_utf_mblen((unsigned char *) to);
}

static size_t
random_text(char *to, size_t limit)
{
	size_t		end = random_below(limit - 4);
	size_t		length = 0;

	while (length < end)
		length += random_character(to + length);
	return length;
}

static void
random_items(Items *items, int count, bool nulls)
{
	items->count = 0;
	while (items->count < count)
	{
		Item	   *item = &items->items[items->count];
		int			what = random_below(12);

		if (what == 0)
			strcpy(item->name, EV_HEADER_ID);
		else if (what == 1)
			strcpy(item->name, EV_HEADER_PARTITION_ID);
		else if (what == 2)
			snprintf(item->name, sizeof(item->name), "%d", random_below(4));
		else
			item->name[0] = '\0';
		item->name_length = strlen(item->name);
		if (what > 2)
			item->name_length = random_text(item->name, sizeof(item->name));
		item->value_length = random_text(item->value, 200);
		item->is_null = nulls && random_below(5) == 0;
		items->count++;
	}
}

static void
add_space(Text *text)
{
	while (random_below(3) == 0)
		add(text, &" \t\n\r"[random_below(4)], 1);
}

/* A string, each of its characters written in one of the ways there are. */
static void
add_any_string(Text *text, const char *data, size_t length)
{
	static const char shorts[] = "\"\\/\b\f\n\r\t";
	static const char names[] = "\"\\/bfnrt";
	size_t		i = 0;

	add(text, "\"", 1);
	while (i < length)
	{
		int			size = pg_utf_mblen((const unsigned char *) data + i);
		pg_wchar	c = utf8_to_unicode((const unsigned char *) data + i);
		const char *found = c < 128 ? strchr(shorts, (int) c) : NULL;
		const char *format = random_below(2) ? "\\u%04x" : "\\u%04X";
		char		escape[16];

		if (found != NULL && random_below(2))
			snprintf(escape, sizeof(escape), "\\%c", names[found - shorts]);
		else if (c < 0x20 || c == '"' || c == '\\' || random_below(4) == 0)
		{
			if (c < 0x10000)
				snprintf(escape, sizeof(escape), format, c);
			else
			{
				snprintf(escape, sizeof(escape), format,
						 0xD800 + ((c - 0x10000) >> 10));
				snprintf(escape + 6, sizeof(escape) - 6, format,
						 0xDC00 + ((c - 0x10000) & 0x3FF));
			}
		}
		else
			snprintf(escape, sizeof(escape), "%.*s", size, data + i);
		add_string(text, escape);
		i += size;
	}
	add(text, "\"", 1);
}

static void
add_items(Text *text, const Items *items, bool canonical)
{
	int			i;

	for (i = 0; i < items->count; i++)
	{
		const Item *item = &items->items[i];

		add(text, i == 0 ? "{" : ",", 1);
		if (canonical)
			naive_escape(text, item->name, item->name_length);
		else
		{
			add_space(text);
			add_any_string(text, item->name, item->name_length);
			add_space(text);
		}
		add(text, ":", 1);
		if (!canonical)
			add_space(text);
		if (item->is_null)
			add_string(text, "null");
		else if (canonical)
			naive_escape(text, item->value, item->value_length);
		else
			add_any_string(text, item->value, item->value_length);
		if (!canonical)
			add_space(text);
	}
	add_string(text, items->count == 0 ? "{}" : "}");
}

static void
test_random_headers(bool canonical)
{
	static Items items;
	static Text text;
	int			i;

	for (i = 0; i < 20000 && !test_failed; i++)
	{
		int			count = random_below(i % 200 == 0 ? MAX_HEADERS : 12);

		random_items(&items, count, !canonical);
		text.length = 0;
		if (!canonical)
			add_space(&text);
		add_items(&text, &items, canonical);
		if (!canonical)
			add_space(&text);
		check_parsed(text.data, text.length, &items);
	}
	end_test(canonical ? "random canonical headers" : "random headers");
}

/*
 * The reference parser.  Everything fits: mutilation makes text longer by a
 * byte at most.
 */
static bool
naive_hex(const char **at, const char *end, unsigned *code)
{
	char		digits[5] = "";
	int			i;

	if (end - *at < 4)
		return false;
	for (i = 0; i < 4; i++)
	{
		digits[i] = *(*at)++;
		if (digits[i] == '\0' ||
			strchr("0123456789abcdefABCDEF", digits[i]) == NULL)
			return false;
	}
	*code = strtoul(digits, NULL, 16);
	return true;
}

static bool
naive_string(const char **at, const char *end, char *to, size_t *length)
{
	*length = 0;
	if (*at == end || *(*at)++ != '"')
		return false;
	for (;;)
	{
		unsigned	code;
		unsigned	low;
		unsigned char c;

		if (*at == end)
			return false;
		c = *(*at)++;
		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c == '\\')
		{
			if (*at == end)
				return false;
			c = *(*at)++;
			switch (c)
			{
				case '"':
				case '\\':
				case '/':
					break;
				case 'b':
					c = '\b';
					break;
				case 'f':
					c = '\f';
					break;
				case 'n':
					c = '\n';
					break;
				case 'r':
					c = '\r';
					break;
				case 't':
					c = '\t';
					break;
				case 'u':
					if (!naive_hex(at, end, &code) || code == 0)
						return false;
					if (code >= 0xDC00 && code <= 0xDFFF)
						return false;
					if (code >= 0xD800 && code <= 0xDBFF)
					{
						if (end - *at < 2 || *(*at)++ != '\\' ||
							*(*at)++ != 'u' || !naive_hex(at, end, &low) ||
							low < 0xDC00 || low > 0xDFFF)
							return false;
						code = 0x10000 + (code - 0xD800) * 0x400 +
							(low - 0xDC00);
					}
					unicode_to_utf8(code, (unsigned char *) to + *length);
					*length += pg_utf_mblen((unsigned char *) to + *length);
					continue;
				default:
					return false;
			}
		}
		to[(*length)++] = c;
	}
}

static void
naive_space(const char **at, const char *end)
{
	while (*at < end && **at != '\0' && strchr(" \t\n\r", **at) != NULL)
		(*at)++;
}

static bool
naive_expect(const char **at, const char *end, char c)
{
	naive_space(at, end);
	return *at < end && *(*at)++ == c;
}

static bool
naive_parse(const char *text, size_t length, Items *items)
{
	const char *at = text;
	const char *end = text + length;

	items->count = 0;
	if (!naive_expect(&at, end, '{'))
		return false;
	naive_space(&at, end);
	if (at < end && *at == '}')
		at++;
	else
	{
		for (;;)
		{
			Item	   *item = &items->items[items->count++];

			naive_space(&at, end);
			if (!naive_string(&at, end, item->name, &item->name_length) ||
				!naive_expect(&at, end, ':'))
				return false;
			naive_space(&at, end);
			item->is_null = end - at >= 4 && memcmp(at, "null", 4) == 0;
			if (item->is_null)
				at += 4;
			else if (!naive_string(&at, end, item->value,
								   &item->value_length))
				return false;
			naive_space(&at, end);
			if (at < end && *at == ',')
				at++;
			else if (at < end && *at == '}')
			{
				at++;
				break;
			}
			else
				return false;
		}
	}
	naive_space(&at, end);
	return at == end;
}

/* Replaces, removes or inserts a byte at random. */
static void
mutilate(Text *text)
{
	static const char bytes[] =
	"{}[]:,\"\"\"\\\\\\ubnrt/ \n\t0123456789abcdefABCDEFnul\x01\0\x80\xC3\xFF";
	size_t		at = random_below(text->length);
	char		byte = bytes[random_below(sizeof(bytes) - 1)];

	switch (random_below(4))
	{
		case 0:
			memmove(text->data + at, text->data + at + 1,
					text->length - at - 1);
			text->length--;
			break;
		case 1:
			memmove(text->data + at + 1, text->data + at, text->length - at);
			text->length++;
			/* FALLTHROUGH */
		default:
			text->data[at] = byte;
	}
}

static void
test_mutilated_headers(void)
{
	static Items items;
	static Text text;
	int			refused = 0;
	int			i;

	for (i = 0; i < 200000 && !test_failed; i++)
	{
		int			times = 1 + random_below(3);
		int			j;

		random_items(&items, random_below(4), true);
		/* Short values, so that mutations hit what matters. */
		for (j = 0; j < items.count; j++)
		{
			items.items[j].name_length = random_text(items.items[j].name, 12);
			items.items[j].value_length = random_text(items.items[j].value,
													  16);
		}
		text.length = 0;
		add_items(&text, &items, random_below(2));
		while (times-- > 0 && text.length > 0)
			mutilate(&text);
		if (naive_parse(text.data, text.length, &items))
			check_parsed(text.data, text.length, &items);
		else
		{
			Parsed		parsed;

			parse(&parsed, text.data, text.length);
			CHECK(parsed.reason != NULL);
			if (parsed.reason == NULL)
				printf("# accepted: %.*s\n", (int) text.length, text.data);
			refused++;
			parse_end(&parsed);
		}
	}
	CHECK(refused > 20000 && refused < 180000);
	end_test("mutilated headers");
}

static void
test_truncated_headers(void)
{
	static const char *const texts[] = {
		EXAMPLE_HEADERS,
		" { \"ID\" : \"\\u00e9\\ud83d\\ude00\\n\" , \"b\":null,\"ID\":\"x\"}",
		"{\"ID\":\"a\\\"b\",\"PARTITION_ID\":\"c\\\\d\\u001F\"}",
	};
	size_t		i;
	size_t		length;

	for (i = 0; i < lengthof(texts); i++)
	{
		for (length = 0; length < strlen(texts[i]); length++)
		{
			Parsed		parsed;

			parse(&parsed, texts[i], length);
			CHECK(parsed.reason != NULL);
			parse_end(&parsed);
		}
	}
	end_test("headers truncated at every length");
}

/*
 * However full scratch is when ID and PARTITION_ID come to it, what is
 * returned must not have moved.
 */
static void
test_long_ids(void)
{
	static Items items;
	static Text text;
	int			i;

	for (i = 0; i < MAX_HEADERS && !test_failed; i++)
	{
		items.count = 0;
		text.length = 0;
		while (items.count <= i)
		{
			Item	   *item = &items.items[items.count];

			snprintf(item->name, sizeof(item->name), "%0*d",
					 6 + i % 20, items.count);
			if (items.count < 2)
				strcpy(item->name, items.count == 0 ? EV_HEADER_PARTITION_ID :
					   EV_HEADER_ID);
			item->name_length = strlen(item->name);
			item->value_length = items.count < 2 ? sizeof(item->value) : 0;
			memset(item->value, '\\', item->value_length);
			item->is_null = false;
			items.count++;
		}
		add_items(&text, &items, true);
		check_parsed(text.data, text.length, &items);
		add(&text, " ", 1);
		check_parsed(text.data, text.length, &items);
	}
	end_test("long ids");
}

/* Names enough that comparing each with each would take minutes. */
static void
test_many_headers(void)
{
	static char text[4000000];
	Parsed		parsed;
	size_t		length = 0;
	int			i;

	for (i = 0; i < 200000; i++)
		length += snprintf(text + length, sizeof(text) - length,
						   "%c\"%06d\":\"\"", i == 0 ? '{' : ',', i);
	text[length++] = '}';
	parse(&parsed, text, length);
	CHECK(parsed.reason == NULL);
	check_text(parsed.headers.json, parsed.headers.json_length, text, length,
			   __LINE__);
	parse_end(&parsed);
	end_test("a great many headers");
}

/*-------------------------------------------------------------------------
 * Topics, ids, dates
 *-------------------------------------------------------------------------
 */

static void
check_topic(const char *topic, size_t length, const char *expected, int line)
{
	char	   *copy = exact_copy(topic, length);
	const char *reason = ev_message_check_topic(copy, length);

	if (expected == NULL)
		check(reason == NULL, "topic is legal", line);
	else
		check_text(reason, reason ? strlen(reason) : 0, expected,
				   strlen(expected), line);
	free(copy);
}

static void
test_topics(void)
{
	static const char characters[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *illegal = "topic name has characters outside [a-zA-Z0-9._-]";
	char		topic[300];
	int			c;

	memset(topic, 'a', sizeof(topic));
	check_topic("", 0, "topic name is empty", __LINE__);
	check_topic(topic, 1, NULL, __LINE__);
	check_topic(topic, 249, NULL, __LINE__);
	check_topic(topic, 250, "topic name is longer than 249 bytes", __LINE__);
	check_topic(".", 1, "topic name is \".\" or \"..\"", __LINE__);
	check_topic("..", 2, "topic name is \".\" or \"..\"", __LINE__);
	check_topic("...", 3, NULL, __LINE__);
	check_topic(".a", 2, NULL, __LINE__);
	check_topic(CUSTOMER, strlen(CUSTOMER), NULL, __LINE__);
	for (c = 0; c < 256; c++)
	{
		bool		legal = c > 0 && c < 128 && strchr(characters, c) != NULL;

		topic[0] = 'a';
		topic[1] = c;
		check_topic(topic, 2, legal ? NULL : illegal, __LINE__);
	}
	end_test("names of topics");
}

static void
check_id(uint64 stamp, uint64 node, const char *expected)
{
	char	   *id = malloc(EV_ID_SIZE);

	ev_message_format_id(id, stamp, node);
	CHECK_TEXT(id, strlen(id), expected);
	free(id);
}

static void
test_ids(void)
{
	uint64		ms = UINT64CONST(1700000000123);
	uint64		stamp;
	int			i;

	check_id(ms << 16, UINT64CONST(0x0242ac120002),
			 "0000018bcfe5687b-0242ac1200020000");
	check_id(ms << 16 | 0xabcd, UINT64CONST(0x0242ac120002),
			 "0000018bcfe5687b-0242ac120002abcd");
	check_id(0, 0, "0000000000000000-0000000000000000");
	check_id(PG_UINT64_MAX, (UINT64CONST(1) << 48) - 1,
			 "0000ffffffffffff-ffffffffffffffff");

	CHECK(ev_message_next_stamp(0, ms) == ms << 16);
	CHECK(ev_message_next_stamp(ms << 16, ms) == (ms << 16 | 1));
	/* The counter is spent: the next millisecond. */
	CHECK(ev_message_next_stamp(ms << 16 | 0xFFFF, ms) == (ms + 1) << 16);
	/* The clock went back. */
	CHECK(ev_message_next_stamp(ms << 16 | 5, ms - 1000) == (ms << 16 | 6));
	CHECK(ev_message_next_stamp(ms << 16 | 5, ms + 1) == (ms + 1) << 16);
	stamp = ms << 16;
	for (i = 0; i < 200000; i++)
	{
		uint64		next = ev_message_next_stamp(stamp, ms - 5 +
												 random_below(10));

		CHECK(next > stamp);
		stamp = next;
	}
	end_test("ids");
}

static void
check_date(int64 epoch_ms, const char *expected)
{
	char	   *date = malloc(EV_DATE_SIZE);

	ev_message_format_date(date, epoch_ms);
	CHECK_TEXT(date, strlen(date), expected);
	free(date);
}

static void
test_dates(void)
{
	static const char *const weekdays[] =
	{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] =
	{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int			i;

	check_date(INT64CONST(1586221323000), "Tue, 7 Apr 2020 01:02:03 GMT");
	check_date(INT64CONST(1587121933999), "Fri, 17 Apr 2020 11:12:13 GMT");
	check_date(INT64CONST(1700000000123), "Tue, 14 Nov 2023 22:13:20 GMT");
	check_date(0, "Thu, 1 Jan 1970 00:00:00 GMT");
	check_date(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
	check_date(-1000, "Wed, 31 Dec 1969 23:59:59 GMT");
	check_date(INT64CONST(951782400000), "Tue, 29 Feb 2000 00:00:00 GMT");
	check_date(INT64CONST(253402300799999), "Fri, 31 Dec 9999 23:59:59 GMT");
	check_date(INT64CONST(-62135596800000), "Mon, 1 Jan 0001 00:00:00 GMT");
	/* Every 64-bit time fits the buffer; what it says is of no use. */
	check_date(PG_INT64_MAX, "Sun, 17 Aug 292278994 07:12:55 GMT");
	check_date(PG_INT64_MIN, "Sun, 16 May -292275055 16:47:04 GMT");

	/* Against the C library. */
	for (i = 0; i < 200000 && !test_failed; i++)
	{
		time_t		seconds;
		struct tm	tm;
		char		expected[EV_DATE_SIZE];

		seconds = (uint64) random_below(1 << 30) << 30;
		seconds = (seconds | random_below(1 << 30)) %
			INT64CONST(253402300800);
		gmtime_r(&seconds, &tm);
		snprintf(expected, sizeof(expected),
				 "%s, %d %s %04d %02d:%02d:%02d GMT", weekdays[tm.tm_wday],
				 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
				 tm.tm_hour, tm.tm_min, tm.tm_sec);
		check_date((int64) seconds * 1000 + random_below(1000), expected);
	}
	end_test("dates");
}

int
main(int argc, char **argv)
{
	seed = random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	printf("1..14\n");
	test_string_vectors();
	test_random_strings();
	test_envelope();
	test_header_vectors();
	test_header_reasons();
	test_random_headers(true);
	test_random_headers(false);
	test_mutilated_headers();
	test_truncated_headers();
	test_long_ids();
	test_many_headers();
	test_topics();
	test_ids();
	test_dates();
	return any_failed ? 1 : 0;
}
