/*-------------------------------------------------------------------------
 *
 * test_message.c
 *	  Envelope, topics, ids and dates.
 *
 * Known answers were produced by Jackson, by Java and by Eventuate's own
 * classes.
 *
 * Prints TAP; exits 1 if a test failed.  A seed may be given as argument.
 * "make t/unit/test_message" builds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "check.h"
#include "message.h"

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
	printf("1..4\n");
	test_envelope();
	test_topics();
	test_ids();
	test_dates();
	return any_failed ? 1 : 0;
}
