/*-------------------------------------------------------------------------
 *
 * admin.c
 *	  SQL functions that steer this database's publisher.
 *
 * Each changes eventuate.progress in the caller's transaction; at its commit
 * the publisher is told to read that row again, so that a rolled-back pause
 * is none.  The functions are SECURITY DEFINER with a fixed search_path: who
 * may call them is a matter of EXECUTE.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "own_table.h"
#include "shared.h"
#include "shared_commit.h"

PG_FUNCTION_INFO_V1(eventuate_pause);
PG_FUNCTION_INFO_V1(eventuate_resume);
PG_FUNCTION_INFO_V1(request_publisher);

/* Runs an UPDATE of eventuate.progress with this database's oid as $1. */
static void
update_progress(const char *text)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(MyDatabaseId)};
	EvCommand	command = {text, lengthof(types), types, values};

	SPI_connect();
	if (ev_own_execute(&command) != SPI_OK_UPDATE)
		elog(ERROR, "could not update eventuate.progress");
	SPI_finish();
	ev_shared_recheck_at_commit();
	ev_shared_request_at_commit();
}

/* eventuate_pause(): nothing more is published until eventuate_resume(). */
Datum
eventuate_pause(PG_FUNCTION_ARGS)
{
	ev_shared_require("eventuate_pause()");
	update_progress("UPDATE eventuate.progress SET paused = true WHERE $1 IS NOT NULL");
	PG_RETURN_VOID();
}

/*
 * The current snapshot with the caller's transaction added as still running,
 * which a snapshot leaves out: what it has sent is committed after this.
 */
#define SNAPSHOT_WITHOUT_US \
	"(SELECT CASE WHEN own >= pg_snapshot_xmax(s) THEN s " \
	"ELSE concat(least(own::text::numeric, pg_snapshot_xmin(s)::text::numeric), ':', pg_snapshot_xmax(s), ':', " \
	"(SELECT string_agg(x::text, ',' ORDER BY x::text::numeric) " \
	"FROM (SELECT pg_snapshot_xip(s) UNION SELECT own) AS running(x)))::pg_snapshot END " \
	"FROM (SELECT pg_current_xact_id() AS own, pg_current_snapshot() AS s) AS t)"

/*
 * eventuate_resume(skip_existing): publish again, also from a database that
 * was copied.  With skip_existing only what is committed after this: without
 * a timeline the slot, if there is one, is not gone on with.
 */
Datum
eventuate_resume(PG_FUNCTION_ARGS)
{
	ev_shared_require("eventuate_resume()");
	if (PG_GETARG_BOOL(0))
		update_progress("UPDATE eventuate.progress SET paused = false, database = $1, timeline = NULL, snapshot = "
						SNAPSHOT_WITHOUT_US);
	else
		update_progress("UPDATE eventuate.progress SET paused = false, database = $1");
	PG_RETURN_VOID();
}

/* eventuate.request_publisher(): for the extension script. */
Datum
request_publisher(PG_FUNCTION_ARGS)
{
	if (ev_shared_ready())
		ev_shared_request_at_commit();
	PG_RETURN_VOID();
}
