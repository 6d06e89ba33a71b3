/*-------------------------------------------------------------------------
 *
 * torture.h
 *	  What the programs of the torture checker share.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Set by SIGTERM. */
extern volatile sig_atomic_t stopping;

/* The programs; each returns an exit status. */
int			send_until_stopped(int argc, char **argv);
int			sample_until_stopped(int argc, char **argv);
int			read_topics(int argc, char **argv);

double		now_ms(clockid_t clock);
void		sleep_ms(double ms);

/* Random numbers, the same for the same state to begin with. */
extern uint64_t random_state;

uint64_t	mix(uint64_t x);
int			below(int limit);
bool		percent(int chance);

/* The filler of a record's payload, always the same for it; no '\0'. */
void		fill(char *filler, int length, int client, int transaction, int number);

/* A string that grows; length = 0 begins it again. */
typedef struct Text
{
	char	   *data;
	size_t		length;
	size_t		size;
} Text;

void		reserve(Text *text, size_t more);
void		append(Text *text, const char *format,...) __attribute__((format(printf, 2, 3)));

#endif							/* TORTURE_H */
