/*-------------------------------------------------------------------------
 *
 * test_header_text.c
 *	  Headers of any form, and hostile ones.
 *
 * Known answers were produced by Jackson.  Random headers are generated as a
 * list, so that the expected result needs no parser; mutilated text is
 * compared with a parser that goes byte by byte.
 *
 * Prints TAP; exits 1 if a test failed.  A seed may be given as argument, more
 * cases by FUZZ_CASES and FUZZ_SECONDS.
 * "make t/unit/test_header_text" builds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "check.h"
#include "header_text.h"
#include "mb/pg_wchar.h"
#include "message.h"
#include "naive_headers.h"
#include "random_text.h"

typedef struct Parsed
{
	char	   *text;			/* the exact copy */
	StringInfoData scratch;
	EvHeaderText headers;
	const char *reason;
} Parsed;

static void
parse(Parsed *parsed, const char *text, size_t length)
{
	parsed->text = exact_copy(text, length);
	initStringInfo(&parsed->scratch);
	appendStringInfoString(&parsed->scratch, "rubbish");
	memset(&parsed->headers, 0x55, sizeof(EvHeaderText));
	parsed->reason = ev_header_text_parse(parsed->text, length,
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
	const EvHeaderText *headers = &parsed.headers;

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
		{"1", "headers are not a JSON object"},
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
		{"{\"ID\":1}", "header \"ID\" is not a string"},
		{"{\"ID\":\"1\",\"ID\":[]}", "header \"ID\" is not a string"},
		{"{\"ID\":\"1\",\"PARTITION_ID\":true}",
		"header \"PARTITION_ID\" is not a string"},
		{"{\"a\":[\"\\u0000\"]}", "headers hold a NUL character"},
		{"{\"a\":{\"b\":{\"\\ude00\":1}}}", "headers hold an unpaired surrogate"},
	};
	size_t		i;

	for (i = 0; i < lengthof(vectors); i++)
		check_reason(vectors[i][0], strlen(vectors[i][0]), vectors[i][1]);
	check_reason("{\"a\":\0\"b\"}", 9, "headers are not valid JSON");
	check_reason("{\"a\":\"\\\0\"}", 9, "headers are not valid JSON");
	check_reason("{\"a\":\"b\"}\0", 10, "headers are not valid JSON");
	check_reason("{\"a\":1\0}", 9, "headers are not valid JSON");
	end_test("headers that are refused");
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
			item->name_length = random_text(item->name, 64);
		item->value_length = random_text(item->value, 200);
		item->is_null = nulls && random_below(5) == 0;
		items->count++;
	}
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

	for (i = 0; more_cases(i, 20000); i++)
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

/* Replaces, removes or inserts a byte at random, or repeats a piece. */
static void
mutilate(Text *text)
{
	static const char bytes[] =
	"{}[]:,\"\"\"\\\\\\ubnrt/ \n\t0123456789abcdefABCDEFnul\x01\0\x80\xC3\xFF";
	size_t		at = random_below(text->length);
	char		byte = bytes[random_below(sizeof(bytes) - 1)];

	switch (random_below(5))
	{
		case 4:
			memmove(text->data + at,
					text->data + random_below(text->length - Min(16, text->length) + 1),
					Min(random_below(17), text->length - at));
			break;
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

/*
 * Whether a value that is no string is fine is for Jackson's vectors to say;
 * but what is written must be what would be written again.
 */
static void
check_stable(const char *text, size_t length)
{
	Parsed		parsed;
	Parsed		again;

	parse(&parsed, text, length);
	if (parsed.reason == NULL)
	{
		parse(&again, parsed.headers.json, parsed.headers.json_length);
		CHECK(again.reason == NULL);
		if (again.reason == NULL)
			check_text(again.headers.json, again.headers.json_length,
					   parsed.headers.json, parsed.headers.json_length,
					   __LINE__);
		parse_end(&again);
	}
	parse_end(&parsed);
}

static void
test_mutilated_headers(void)
{
	static Items items;
	static Text text;
	int			refused = 0;
	int			i;

	for (i = 0; more_cases(i, 200000) || more_time(); i++)
	{
		int			times = 1 + random_below(3);
		bool		other;
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
		if (naive_parse(text.data, text.length, &items, &other))
			check_parsed(text.data, text.length, &items);
		else if (other)
			check_stable(text.data, text.length);
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
	CHECK(refused > i / 10 && refused < i / 10 * 9);
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

int
main(int argc, char **argv)
{
	begin_tests(argc, argv, 8);
	test_header_vectors();
	test_header_reasons();
	test_random_headers(true);
	test_random_headers(false);
	test_mutilated_headers();
	test_truncated_headers();
	test_long_ids();
	test_many_headers();
	return any_failed ? 1 : 0;
}
