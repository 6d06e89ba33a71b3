/*-------------------------------------------------------------------------
 *
 * test_header_random.c
 *	  Headers at random, and hostile ones.
 *
 * Random headers are generated as a list, so that the expected result needs no
 * parser; mutilated text is compared with a parser that goes byte by byte.
 *
 * Prints TAP; exits 1 if a test failed.  A seed may be given as argument, more
 * cases by FUZZ_CASES and FUZZ_SECONDS.
 * "make t/unit/test_header_random" builds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "check.h"
#include "mb/pg_wchar.h"
#include "message.h"
#include "naive_headers.h"
#include "parsed_headers.h"
#include "random_text.h"

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

int
main(int argc, char **argv)
{
	begin_tests(argc, argv, 4);
	test_random_headers(true);
	test_random_headers(false);
	test_mutilated_headers();
	test_long_ids();
	return any_failed ? 1 : 0;
}
