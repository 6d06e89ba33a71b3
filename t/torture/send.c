/*-------------------------------------------------------------------------
 *
 * send.c
 *	  Transactions of every kind, one upon the other, until SIGTERM.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static int	last_number = 0;	/* counts transactions and late commits */

/* Of the transaction at work. */
static int	records;

/* A prepared transaction that is left open over others; 0: none. */
static int	held = 0;
static bool held_commits;
static int	held_for;

/*
 * Ends a prepared transaction, however often the connection is lost.  It may be
 * gone already, with the answer, or with a primary that alone had it.
 */
static void
finish_prepared(int number, bool commit)
{
	int			order = ++last_number;
	bool		prepared = true;

	while (prepared)
	{
		char		query[100];
		PGresult   *result;
		const char *state;

		snprintf(query, sizeof(query), "%s PREPARED 't%d.%d'", commit ? "COMMIT" : "ROLLBACK", me, number);
		result = PQexec(connection, query);
		state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		if (state != NULL && strcmp(state, "42704") == 0)
		{
			PQclear(result);
			break;
		}
		if (done(result))
		{
			note(commit ? 'C' : 'A', number, order);
			return;
		}
		do
		{
			if (lost_connection())
				connect_again();
		} while (!is_prepared(number, &prepared));
	}
	note(commit ? 'U' : 'A', number, order);
}

static int
random_records(void)
{
	int			kind = below(1000);

	if (kind < 900)
		return 1 + below(6);
	if (kind < 980)
		return 1 + below(60);
	if (kind < 997)
		return 1 + below(600);
	return 1 + below(5000);
}

/* The records of a transaction, in pieces, with savepoints. */
static bool
send_pieces(void)
{
	int			count = random_records();
	int			pieces = percent(50) ? 1 : 1 + below(4);
	Style		style = (Style) below(3);
	bool		tram = turn == 0 && percent(15);

	for (int piece = 0; piece < pieces && records < count; piece++)
	{
		int			left = count - records;
		int			now = piece == pieces - 1 ? left : 1 + below(left);
		bool		savepoint = percent(25);

		if (percent(30))
			style = (Style) below(3);
		if (tram)
			style = TRAM;
		if (percent(10))
		{
			/* What is sent here never was. */
			if (!run("SAVEPOINT undone") ||
				!send_rows(style, UNDONE + 100 * piece, 1 + below(5)) ||
				!run("ROLLBACK TO undone"))
				return false;
		}
		if (savepoint && !run("SAVEPOINT s"))
			return false;
		if (!send_rows(style, records, now))
			return false;
		records += now;
		if (savepoint && percent(70) && !run("RELEASE s"))
			return false;
	}
	return run("INSERT INTO truth VALUES (%d, %d, %d, %ld)", me, transaction, records, turn);
}

/* Waits for its turn: a lock that the transaction holds up to its end. */
static bool
take_turn(void)
{
	PGresult   *result = PQexec(connection, "UPDATE turn SET n = n + 1 RETURNING n");

	if (PQntuples(result) == 1)
		turn = atol(PQgetvalue(result, 0, 0));
	return done(result) && turn > 0;
}

static void
commit_it(bool asynchronous)
{
	PGresult   *result = PQexec(connection, "COMMIT");
	bool		rolled_back = PQresultStatus(result) == PGRES_COMMAND_OK &&
	strcmp(PQcmdStatus(result), "COMMIT") != 0;
	bool		answered = done(result) && !rolled_back;

	note(rolled_back ? 'A' : answered && !asynchronous ? 'C' : 'U', transaction, transaction);
}

/* PREPARE TRANSACTION; then at once, or over some others, its end. */
static void
prepare_it(bool commit, bool hold)
{
	bool		prepared = true;

	if (!run("PREPARE TRANSACTION 't%d.%d'", me, transaction))
	{
		do
		{
			if (lost_connection())
				connect_again();
		} while (!is_prepared(transaction, &prepared));
	}
	if (!prepared)
		note('A', transaction, transaction);
	else if (hold)
	{
		held = transaction;
		held_commits = commit;
		held_for = 1 + below(20);
	}
	else
		finish_prepared(transaction, commit);
}

static void
end_held(void)
{
	finish_prepared(held, held_commits);
	held = 0;
}

static void
send_alone(void)
{
	bool		good = send_rows(ALONE, 0, 1 + below(3));

	note(good ? 'C' : 'U', transaction, transaction);
}

static void
send_transaction(void)
{
	int			fate = below(100);
	bool		asynchronous = percent(25);
	bool		turns;

	transaction = ++last_number;
	records = 0;
	turn = 0;
	if (percent(15))
	{
		send_alone();
		return;
	}
	/* Nobody waits for a lock that outlives its session. */
	turns = fate < 90 && percent(15);
	if (!run("BEGIN") ||
		(asynchronous && !run("SET LOCAL synchronous_commit = off")) ||
		(turns && !take_turn()) ||
		!send_pieces())
	{
		if (!lost_connection())
			run("ROLLBACK");
		note('A', transaction, transaction);
	}
	else if (fate < 80)
		commit_it(asynchronous);
	else if (fate < 90)
	{
		run("ROLLBACK");
		note('A', transaction, transaction);
	}
	else
		prepare_it(fate < 97, held == 0 && percent(50));
}

int
send_until_stopped(int argc, char **argv)
{
	double		pause;

	if (argc != 6)
		return 2;
	conninfo = argv[2];
	me = atoi(argv[3]);
	random_state = mix(strtoull(argv[4], NULL, 10) * 1000 + me);
	pause = atof(argv[5]);
	connect_again();
	while (!stopping)
	{
		send_transaction();
		if (lost_connection())
			connect_again();
		if (held != 0 && held_for-- == 0)
			end_held();
		/* Mostly short, sometimes long. */
		sleep_ms(percent(20) ? pause * 4 * below(100) / 100 : pause * below(150) / 100);
	}
	if (held != 0)
		end_held();
	PQfinish(connection);
	return 0;
}
