/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What pg_stat_eventuate shows.
 *
 * Reads the entries in shared memory.  Counters
 * begin at zero with the server, or when they are reset.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "shared_outbox.h"

PG_FUNCTION_INFO_V1(stat_databases);
PG_FUNCTION_INFO_V1(pg_stat_reset_eventuate);

/* The columns of eventuate.stat_databases(). */
enum
{
	COLUMN_DATID,
	COLUMN_DATNAME,
	COLUMN_PID,
	COLUMN_STATE,
	COLUMN_SLOT_NAME,
	COLUMN_PUBLISHED_LSN,
	COLUMN_PUBLISHED_THROUGH,
	COLUMN_MESSAGES,
	COLUMN_BYTES,
	COLUMN_IN_FLIGHT,
	COLUMN_UNCONFIRMED,
	COLUMN_DEAD_LETTERS,
	COLUMN_LAG_BYTES,
	COLUMN_LAST_ERROR,
	COLUMN_LAST_ERROR_TIME,
	COLUMN_STATS_RESET,
	COLUMN_COUNT
};

static void
set_text(Datum *value, bool *null, const char *text)
{
	*null = text == NULL || text[0] == '\0';
	if (!*null)
		*value = CStringGetTextDatum(text);
}

static void
set_time(Datum *value, bool *null, TimestampTz time)
{
	*null = time == 0;
	*value = TimestampTzGetDatum(time);
}

/* One row; the entry is a private copy. */
static void
put_row(ReturnSetInfo *result, const EvDatabase *database)
{
	const EvWorker *publisher = &database->publisher;
	Datum		values[COLUMN_COUNT] = {0};
	bool		nulls[COLUMN_COUNT] = {0};
	char	   *name = get_database_name(database->datid);
	NameData	datname;

	if (name == NULL)
		return;
	namestrcpy(&datname, name);
	values[COLUMN_DATID] = ObjectIdGetDatum(database->datid);
	values[COLUMN_DATNAME] = NameGetDatum(&datname);
	values[COLUMN_PID] = Int32GetDatum(publisher->pid);
	nulls[COLUMN_PID] = publisher->pid == 0;
	set_text(&values[COLUMN_STATE], &nulls[COLUMN_STATE],
			 ev_shared_state_name(publisher->state));
	set_text(&values[COLUMN_SLOT_NAME], &nulls[COLUMN_SLOT_NAME],
			 psprintf("eventuate_%u", database->datid));
	values[COLUMN_PUBLISHED_LSN] = LSNGetDatum(database->published_lsn);
	nulls[COLUMN_PUBLISHED_LSN] = XLogRecPtrIsInvalid(database->published_lsn);
	set_time(&values[COLUMN_PUBLISHED_THROUGH], &nulls[COLUMN_PUBLISHED_THROUGH],
			 database->published_through);
	values[COLUMN_MESSAGES] = Int64GetDatum(database->messages);
	values[COLUMN_BYTES] = Int64GetDatum(database->bytes);
	values[COLUMN_IN_FLIGHT] = Int64GetDatum(database->in_flight);
	values[COLUMN_UNCONFIRMED] = Int64GetDatum(database->unconfirmed);
	values[COLUMN_DEAD_LETTERS] = Int64GetDatum(database->dead_letters);
	nulls[COLUMN_LAG_BYTES] = nulls[COLUMN_PUBLISHED_LSN] || RecoveryInProgress();
	if (!nulls[COLUMN_LAG_BYTES])
	{
		XLogRecPtr	end = GetFlushRecPtr(NULL);

		values[COLUMN_LAG_BYTES] =
			Int64GetDatum(end > database->published_lsn ?
						  end - database->published_lsn : 0);
	}
	set_text(&values[COLUMN_LAST_ERROR], &nulls[COLUMN_LAST_ERROR],
			 publisher->last_error);
	set_time(&values[COLUMN_LAST_ERROR_TIME], &nulls[COLUMN_LAST_ERROR_TIME],
			 publisher->last_error_time);
	set_time(&values[COLUMN_STATS_RESET], &nulls[COLUMN_STATS_RESET],
			 database->stats_reset);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* eventuate.stat_databases(): every database known to have the extension. */
Datum
stat_databases(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EvDatabase *database;
	EvDatabase	copy;

	ev_shared_require("pg_stat_eventuate");
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (database = ev_shared_entry(i)) != NULL; i++)
	{
		SpinLockAcquire(&database->mutex);
		copy = *database;
		SpinLockRelease(&database->mutex);
		SpinLockAcquire(&database->publisher.mutex);
		copy.publisher = database->publisher;
		SpinLockRelease(&database->publisher.mutex);
		if (OidIsValid(copy.datid) && copy.installed)
			put_row(result, &copy);
	}
	return (Datum) 0;
}

/* pg_stat_reset_eventuate(): this database's counters begin at zero again. */
Datum
pg_stat_reset_eventuate(PG_FUNCTION_ARGS)
{
	EvDatabase *database;
	TimestampTz now = GetCurrentTimestamp();

	ev_shared_require("pg_stat_reset_eventuate()");
	database = ev_shared_find(MyDatabaseId);
	if (database != NULL)
	{
		SpinLockAcquire(&database->mutex);
		database->messages = 0;
		database->bytes = 0;
		database->stats_reset = now;
		SpinLockRelease(&database->mutex);
		ev_shared_set_error(&database->publisher, NULL);
		ev_shared_outbox_reset(MyDatabaseId);
	}
	PG_RETURN_VOID();
}
