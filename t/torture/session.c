/*-------------------------------------------------------------------------
 *
 * session.c
 *	  A client's connection, and what it writes down.  The server may go away
 *	  at any moment, and come back later or elsewhere.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

const char *conninfo;
PGconn	   *connection = NULL;
int			me;
int			transaction;
long		turn;

void
note(char outcome, int number, int order)
{
	printf("%c %d %d %d\n", outcome, me, number, order);
	fflush(stdout);
}

bool
lost_connection(void)
{
	return PQstatus(connection) != CONNECTION_OK;
}

/* True if it worked.  An error on a connection that lives is news. */
bool
done(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	bool		good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!good && !lost_connection())
	{
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		char	   *message = strdup(PQerrorMessage(connection));

		/* 57P0x: the server or somebody ends this session. */
		if (state == NULL || strncmp(state, "57P0", 4) != 0)
		{
			for (char *c = message; *c != '\0'; c++)
				*c = *c == '\n' ? ' ' : *c;
			printf("E %d %d %s\n", me, transaction, message);
			fflush(stdout);
		}
		free(message);
	}
	PQclear(result);
	return good;
}

bool
run(const char *format,...)
{
	char		query[500];
	va_list		args;

	va_start(args, format);
	vsnprintf(query, sizeof(query), format, args);
	va_end(args);
	return done(PQexec(connection, query));
}

bool
is_prepared(int number, bool *prepared)
{
	char		query[200];
	PGresult   *result;
	bool		known;

	snprintf(query, sizeof(query), "SELECT FROM pg_prepared_xacts WHERE gid = 't%d.%d'", me, number);
	result = PQexec(connection, query);
	known = PQresultStatus(result) == PGRES_TUPLES_OK;
	*prepared = known && PQntuples(result) > 0;
	return done(result) && known;
}

/* The server may be down for a while. */
void
connect_again(void)
{
	for (;;)
	{
		if (connection != NULL)
			PQfinish(connection);
		connection = PQconnectdb(conninfo);
		if (!lost_connection() &&
			PQresultStatus(PQexec(connection, "SET client_min_messages = error")) == PGRES_COMMAND_OK)
			return;
		sleep_ms(20);
	}
}
