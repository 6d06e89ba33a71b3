/*-------------------------------------------------------------------------
 *
 * json_number.c
 *	  Numbers of JSON, as Jackson reads and writes them.
 *
 * Jackson reads a number without point and exponent as an integer of any
 * size, and every other as a double, which it writes as Double.toString does:
 * with the fewest digits that tell it from its neighbours.  Javas differ in
 * what exactly the fewest are; for about one double in a thousand, most of
 * them beyond 10^15, we write a digit more or less than some Java.  Read
 * again, it is the same number.
 *
 * Promises: nothing is read outside the text passed in; no function throws,
 * but for running out of memory.  There is no state, so a restart changes
 * nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "common/shortest_dec.h"
#include "json_number.h"

/* Decimal exponents of which Java writes a number without an exponent. */
#define MIN_PLAIN_EXPONENT (-3)
#define MAX_PLAIN_EXPONENT 6

/* 0.d1d2d3.. times 10 to the power of exponent + 1; no zeros at the end. */
typedef struct Decimal
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			count;
	int			exponent;		/* of the first digit */
} Decimal;

static bool
scan_digits(const char **at, const char *end)
{
	const char *start = *at;

	while (*at < end && **at >= '0' && **at <= '9')
		(*at)++;
	return *at > start;
}

/*
 * Read a number by JSON's grammar; false if there is none.  *at moves behind
 * it.
 */
bool
ev_json_scan_number(const char **at, const char *end, EvSlice *number)
{
	const char *p = *at;

	number->data = p;
	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if (!scan_digits(&p, end))
		return false;
	if (p < end && *p == '.' && (p++, !scan_digits(&p, end)))
		return false;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!scan_digits(&p, end))
			return false;
	}
	number->length = p - number->data;
	*at = p;
	return true;
}

/*
 * Takes the digits and the exponent out of a positive number as printf or
 * PostgreSQL writes it: 1.5, 0.00012, 1.5e+20.
 */
static void
split_number(const char *text, Decimal *decimal)
{
	bool		point = false;

	decimal->count = 0;
	decimal->exponent = -1;
	for (; *text != '\0' && *text != 'e'; text++)
	{
		if (*text == '.')
			point = true;
		else if (decimal->count > 0 || *text != '0')
		{
			decimal->digits[decimal->count++] = *text;
			decimal->exponent += !point;
		}
		else
			decimal->exponent -= point;
	}
	if (*text == 'e')
		decimal->exponent += atoi(text + 1);
	while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
		decimal->count--;
}

/*
 * The decimal that Java writes for a positive number: of the shortest that
 * read as the number, or of those of two digits if one would do, the nearest.
 */
static void
find_decimal(double number, Decimal *decimal)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(number, text);
	split_number(text, decimal);
	if (decimal->count == 1)
	{
		snprintf(text, sizeof(text), "%.1e", number);
		split_number(text, decimal);
	}
}

/* Appends digits from "from" up to "to", zeros where there are none. */
static void
append_digits(StringInfo out, const Decimal *decimal, int from, int to)
{
	for (int i = from; i < to; i++)
		appendStringInfoChar(out, i >= 0 && i < decimal->count ?
							 decimal->digits[i] : '0');
}

/* Appends a positive number as Double.toString writes it. */
static void
append_decimal(StringInfo out, const Decimal *decimal)
{
	bool		plain = decimal->exponent >= MIN_PLAIN_EXPONENT &&
	decimal->exponent <= MAX_PLAIN_EXPONENT;
	int			point = plain ? decimal->exponent + 1 : 1;

	if (point > 0)
		append_digits(out, decimal, 0, point);
	else
		appendStringInfoChar(out, '0');
	appendStringInfoChar(out, '.');
	append_digits(out, decimal, point, Max(decimal->count, point + 1));
	if (!plain)
		appendStringInfo(out, "E%d", decimal->exponent);
}

static void
append_double(StringInfo out, double number)
{
	Decimal		decimal;

	if (isinf(number))
	{
		/* No number of JSON: Jackson quotes it. */
		appendStringInfoString(out, number < 0 ? "\"-Infinity\"" : "\"Infinity\"");
		return;
	}
	if (signbit(number))
		appendStringInfoChar(out, '-');
	if (number == 0)
	{
		appendStringInfoString(out, "0.0");
		return;
	}
	find_decimal(fabs(number), &decimal);
	append_decimal(out, &decimal);
}

/*
 * Append a number that ev_json_scan_number has read.
 */
void
ev_json_append_number(StringInfo out, const EvSlice *number)
{
	bool		integer = true;
	char	   *text;

	for (size_t i = 0; i < number->length && integer; i++)
		integer = strchr(".eE", number->data[i]) == NULL;
	if (integer)
	{
		bool		minus_zero = number->length == 2 && number->data[1] == '0' &&
		number->data[0] == '-';

		appendBinaryStringInfo(out, number->data + minus_zero,
							   number->length - minus_zero);
		return;
	}
	text = pnstrdup(number->data, number->length);
	append_double(out, strtod(text, NULL));
	pfree(text);
}
