/*-------------------------------------------------------------------------
 *
 * check.h
 *	  What the unit tests of text have in common.
 *
 * All input is handed over in memory of exactly its size, so that the address
 * sanitizer sees a byte read too many.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHECK_H
#define CHECK_H

#include <time.h>

#define MAX_TEXT 1000000
#define CHECK(condition) check((condition), #condition, __LINE__)
#define CHECK_TEXT(data, length, expected) \
	check_text(data, length, expected, strlen(expected), __LINE__)

/* Headers as a real producer writes them. */
#define CUSTOMER \
	"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer"
#define EXAMPLE_HEADERS \
	"{\"PARTITION_ID\":\"101\",\"event-aggregate-type\":\"" CUSTOMER "\"," \
	"\"DATE\":\"Tue, 14 Nov 2023 22:13:20 GMT\"," \
	"\"event-aggregate-id\":\"101\",\"event-type\":\"" CUSTOMER \
	"CreditReservedEvent\",\"DESTINATION\":\"" CUSTOMER "\"," \
	"\"ID\":\"0000018bcfe5687b-0242ac1200020000\"}"

typedef struct Text
{
	char		data[MAX_TEXT];
	size_t		length;
} Text;

static time_t began;
static uint64 seed;
static uint64 random_state;
static int	test_number;
static bool test_failed;
static bool any_failed;

static inline void
check(bool condition, const char *text, int line)
{
	if (condition)
		return;
	if (!test_failed)
		printf("# line %d: not %s (seed " UINT64_FORMAT ")\n",
			   line, text, seed);
	test_failed = true;
}

static inline void
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

static inline void
end_test(const char *name)
{
	printf("%s %d - %s\n", test_failed ? "not ok" : "ok", ++test_number, name);
	any_failed |= test_failed;
	test_failed = false;
}

/* xorshift64*: the same numbers everywhere. */
static inline uint32
random_below(uint32 limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64CONST(0x2545F4914F6CDD1D) >> 32) % limit;
}

static inline void
begin_tests(int argc, char **argv, int count)
{
	const char *given = argc > 1 ? argv[1] : getenv("SEED");

	began = time(NULL);
	/* Of 0 nothing but 0 would come. */
	seed = random_state = Max(given ? strtoull(given, NULL, 10) : 1, 1);
	printf("1..%d\n", count);
}

/*
 * Is there to be another case of a test that has the usual number, or as many
 * as FUZZ_CASES says?  Once a test has failed there is not.
 */
static inline bool
more_cases(int done, int usual)
{
	const char *wanted = getenv("FUZZ_CASES");

	return !test_failed && done < Max(usual, wanted ? atoi(wanted) : 0);
}

/* Is the program not as old yet as FUZZ_SECONDS says? */
static inline bool
more_time(void)
{
	const char *wanted = getenv("FUZZ_SECONDS");

	return !test_failed && wanted != NULL &&
		time(NULL) - began < atoi(wanted);
}

static inline void
add(Text *text, const char *data, size_t length)
{
	Assert(text->length + length < MAX_TEXT);
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

static inline void
add_string(Text *text, const char *data)
{
	add(text, data, strlen(data));
}

/* The text in memory of exactly its size, which may be none. */
static inline char *
exact_copy(const char *data, size_t length)
{
	char	   *copy = malloc(length);

	memcpy(copy, data, length);
	return copy;
}

static inline void
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

#endif							/* CHECK_H */
