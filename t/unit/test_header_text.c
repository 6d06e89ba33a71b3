/*-------------------------------------------------------------------------
 *
 * test_header_text.c
 *	  Headers of any form, with known answers, which were produced by Jackson.
 *
 * Prints TAP; exits 1 if a test failed.  "make t/unit/test_header_text" builds
 * it.  Headers at random: test_header_random.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "check.h"
#include "message.h"
#include "parsed_headers.h"

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
	begin_tests(argc, argv, 4);
	test_header_vectors();
	test_header_reasons();
	test_truncated_headers();
	test_many_headers();
	return any_failed ? 1 : 0;
}
