/*-------------------------------------------------------------------------
 *
 * test_json_tree.c
 *	  Values of JSON of all kinds, and hostile ones.
 *
 * Known answers were produced by Jackson, with the mapper that the CDC
 * service uses.  Random values are written in two forms at once, so that the
 * expected result needs no parser.
 *
 * Prints TAP; exits 1 if a test failed.  A seed may be given as argument.
 * "make t/unit/test_json_tree" builds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "check.h"
#include "jackson.h"
#include "json_tree.h"
#include "random_text.h"

/* Reads and, if that goes well, writes; NULL: whatever it is. */
static void
check_tree(const char *text, size_t length, EvJsonError error,
		   const char *expected, int line)
{
	char	   *copy = exact_copy(text, length);
	EvJsonTree	tree;
	StringInfoData out;

	initStringInfo(&out);
	check(ev_json_tree_read(&tree, copy, length) == error, text, line);
	if (error == EV_JSON_FINE && !test_failed)
	{
		ev_json_tree_append(&out, &tree);
		if (expected != NULL)
			check_text(out.data, out.len, expected, strlen(expected), line);
	}
	ev_json_tree_free(&tree);
	pfree(out.data);
	free(copy);
}

static void
test_jackson_vectors(void)
{
	for (size_t i = 0; i < lengthof(jackson_vectors); i++)
	{
		const char *text = jackson_vectors[i][0];
		const char *expected = jackson_vectors[i][1];

		check_tree(text, strlen(text),
				   expected == NULL ? EV_JSON_INVALID : EV_JSON_FINE,
				   expected, __LINE__);
	}
	end_test("values that Jackson has read and written");
}

/* Cut anywhere, they are none. */
static void
test_truncated_values(void)
{
	for (size_t i = 0; i < lengthof(jackson_vectors); i++)
	{
		const char *text = jackson_vectors[i][0];

		if (jackson_vectors[i][1] == NULL)
			continue;
		for (size_t length = 0; length < strlen(text); length++)
			check_tree(text, length, EV_JSON_INVALID, NULL, __LINE__);
	}
	end_test("values truncated at every length");
}

static void
test_members(void)
{
	static const char text[] = "{\"a\":1,\"b\":null,\"c\":{\"d\":2},\"a\":\"3\",\"e\":4,\"e\":null}";
	EvJsonTree	tree;
	const EvJsonNode *node;

	CHECK(ev_json_tree_read(&tree, text, strlen(text)) == EV_JSON_FINE);
	node = ev_json_tree_member(&tree, "a");
	CHECK(node != NULL && node->kind == EV_JSON_STRING && node->text.length == 1 &&
		  *node->text.data == '3');
	node = ev_json_tree_member(&tree, "c");
	CHECK(node != NULL && node->kind == EV_JSON_OBJECT);
	CHECK(ev_json_tree_member(&tree, "b") == NULL);
	CHECK(ev_json_tree_member(&tree, "d") == NULL);
	CHECK(ev_json_tree_member(&tree, "e") == NULL);
	CHECK(ev_json_tree_member(&tree, "") == NULL);
	ev_json_tree_free(&tree);
	end_test("members by name");
}

/* The text "count" times, then the other. */
static char *
repeat(const char *start, const char *text, size_t count, const char *end,
	   size_t *length)
{
	size_t		start_length = strlen(start);
	size_t		text_length = strlen(text);
	char	   *all = malloc(start_length + text_length * count +
							 strlen(end) + 1);

	strcpy(all, start);
	for (size_t i = 0; i < count; i++)
		memcpy(all + start_length + i * text_length, text, text_length);
	strcpy(all + start_length + count * text_length, end);
	*length = strlen(all);
	return all;
}

/* Arrays (or objects) in one another, and in one more. */
static void
check_nested(const char *opening, const char *closing, int depth,
			 EvJsonError expected)
{
	size_t		length;
	char	   *end = repeat("1", closing, depth, "}", &length);
	char	   *text = repeat("{\"a\":", opening, depth, end, &length);

	check_tree(text, length, expected, NULL, __LINE__);
	free(text);
	free(end);
}

static void
check_repeated(const char *text, size_t count, const char *end,
			   EvJsonError expected)
{
	size_t		length;
	char	   *all = repeat("{\"x\":1", text, count, end, &length);

	check_tree(all, length, expected, NULL, __LINE__);
	free(all);
}

/*
 * What would overflow the stack, or memory, or take for ever.
 */
static void
test_bounds(void)
{
	check_nested("[", "]", EV_JSON_TREE_MAX_DEPTH, EV_JSON_FINE);
	check_nested("[", "]", EV_JSON_TREE_MAX_DEPTH + 1, EV_JSON_DEPTH);
	check_nested("{\"a\":", "}", EV_JSON_TREE_MAX_DEPTH, EV_JSON_FINE);
	check_nested("{\"a\":", "}", EV_JSON_TREE_MAX_DEPTH + 1, EV_JSON_DEPTH);
	check_nested("[", "", 1000000, EV_JSON_DEPTH);
	check_repeated(",\"a\":null", 1000000, "}", EV_JSON_FINE);
	check_repeated(",\"a\":[]", EV_JSON_TREE_MAX_TEXT / 7, "}",
				   EV_JSON_TOO_LONG);
	end_test("bounds");
}

/*
 * Writes a random value twice: in any form, and as it should become.
 */
static void
add_value(Text *text, Text *canonical, int depth)
{
	static const char *const numbers[][2] = {
		{"0", "0"}, {"-0", "0"}, {"12", "12"}, {"1.50", "1.5"},
		{"-1e3", "-1000.0"}, {"1E-4", "1.0E-4"}, {"true", "true"},
		{"false", "false"}
	};
	int			kind = random_below(depth > 4 ? 2 : 4);
	int			i = random_below(lengthof(numbers));
	int			count = random_below(5);
	size_t		start;
	char		string[40];
	size_t		length;

	add_space(text);
	if (kind == 0)
	{
		add_string(text, numbers[i][0]);
		add_string(canonical, numbers[i][1]);
	}
	else if (kind == 1)
	{
		length = random_text(string, sizeof(string));
		add_any_string(text, string, length);
		naive_escape(canonical, string, length);
	}
	else
	{
		add(text, &"{["[kind - 2], 1);
		add(canonical, &"{["[kind - 2], 1);
		start = canonical->length;
		for (i = 0; i < count; i++)
		{
			if (i > 0)
				add_string(text, ",");
			if (kind == 2 && random_below(3) == 0)
			{
				/* A null, now or after "n" had a value. */
				add_space(text);
				add_string(text, random_below(2) ? "\"n\":null" : "\"n\":1,\"n\" : null");
				continue;
			}
			if (canonical->length > start)
				add_string(canonical, ",");
			if (kind == 2)
			{
				char		name = '0' + i;

				add_space(text);
				add_any_string(text, &name, 1);
				add_space(text);
				add_string(text, ":");
				naive_escape(canonical, &name, 1);
				add_string(canonical, ":");
			}
			add_value(text, canonical, depth + 1);
		}
		add(text, &"}]"[kind - 2], 1);
		add(canonical, &"}]"[kind - 2], 1);
	}
	add_space(text);
}

static void
test_random_values(void)
{
	static Text text;
	static Text canonical;
	int			i;

	for (i = 0; i < 20000 && !test_failed; i++)
	{
		text.length = canonical.length = 0;
		add_string(&text, "{\"v\":");
		add_string(&canonical, "{\"v\":");
		add_value(&text, &canonical, 0);
		add_string(&text, "}");
		add_string(&canonical, "}");
		check_tree(text.data, text.length, EV_JSON_FINE, canonical.data,
				   __LINE__);
	}
	end_test("random values");
}

int
main(int argc, char **argv)
{
	seed = random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	printf("1..5\n");
	test_jackson_vectors();
	test_truncated_values();
	test_members();
	test_bounds();
	test_random_values();
	return any_failed ? 1 : 0;
}
