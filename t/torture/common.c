/*-------------------------------------------------------------------------
 *
 * common.c
 *	  What the programs of the torture checker share: the clock, random
 *	  numbers, fillers of payloads, strings that grow.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "torture.h"

uint64_t	random_state;

double
now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

void
sleep_ms(double ms)
{
	struct timespec ts = {(time_t) (ms / 1e3), (long) (ms * 1e6) % 1000000000};

	nanosleep(&ts, NULL);
}

uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* From 0 to below limit. */
int
below(int limit)
{
	random_state++;
	return (int) (mix(random_state) % (uint64_t) limit);
}

bool
percent(int chance)
{
	return below(100) < chance;
}

void
fill(char *filler, int length, int client, int transaction, int number)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint64_t	state = mix(((uint64_t) client << 56) ^ ((uint64_t) transaction << 24) ^ (uint64_t) number);

	for (int i = 0; i < length; i++)
	{
		if (i % 10 == 0)
			state = mix(state);
		filler[i] = letters[(state >> (6 * (i % 10))) & 63];
	}
}

void
reserve(Text *text, size_t more)
{
	if (text->length + more + 1 > text->size)
	{
		text->size = (text->length + more + 1) * 2;
		text->data = realloc(text->data, text->size);
	}
}

void
append(Text *text, const char *format,...)
{
	va_list		args;

	reserve(text, 500);
	va_start(args, format);
	text->length += vsnprintf(text->data + text->length, 500, format, args);
	va_end(args);
}
