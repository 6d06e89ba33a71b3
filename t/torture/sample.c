/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Looks at the statistics until SIGTERM.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "session.h"

int
sample_until_stopped(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	conninfo = argv[2];
	while (!stopping)
	{
		double		before;
		PGresult   *result;

		if (connection == NULL)
			connection = PQconnectdb(conninfo);
		before = now_ms(CLOCK_REALTIME);
		result = PQexec(connection,
						"SELECT state, coalesce(pid, 0), in_flight, unconfirmed, messages, snapshot, coalesce(last_error, '')"
						" FROM pg_stat_eventuate, eventuate.progress WHERE datname = current_database()");
		if (PQntuples(result) == 1)
		{
			printf("%.0f", before);
			for (int i = 0; i < 7; i++)
				printf("\t%s", PQgetvalue(result, 0, i));
			printf("\n");
			fflush(stdout);
		}
		PQclear(result);
		if (lost_connection())
		{
			PQfinish(connection);
			connection = NULL;
		}
		sleep_ms(20);
	}
	return 0;
}
