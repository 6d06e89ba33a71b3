/*-------------------------------------------------------------------------
 *
 * test_json.c
 *	  Strings of JSON: what Jackson writes, byte for byte.
 *
 * Known answers were produced by Jackson.  Random input is compared with an
 * escaper that goes byte by byte.  The reading of strings is tested along
 * with that of headers.
 *
 * Prints TAP; exits 1 if a test failed.  A seed may be given as argument, more
 * cases by FUZZ_CASES and FUZZ_SECONDS.
 * "make t/unit/test_json" builds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "check.h"
#include "json.h"

/* Every way to write the string agrees with "expected". */
static void
check_string(const char *data, size_t length, const char *expected,
			 size_t expected_length, int line)
{
	char	   *copy = exact_copy(data, length);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "before");
	ev_json_append_string(&out, copy, length);
	check_text(out.data + 6, out.len - 6, expected, expected_length, line);
	check(memcmp(out.data, "before", 6) == 0, "text before kept", line);
	check(out.data[out.len] == '\0', "NUL at the end", line);
	check(ev_json_escaped_size(copy, length) + 2 == expected_length,
		  "ev_json_escaped_size", line);
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

	for (i = 0; more_cases(i, 30000); i++)
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

int
main(int argc, char **argv)
{
	begin_tests(argc, argv, 2);
	test_string_vectors();
	test_random_strings();
	return any_failed ? 1 : 0;
}
