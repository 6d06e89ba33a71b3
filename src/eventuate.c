/*-------------------------------------------------------------------------
 *
 * eventuate.c
 *	  Where the library begins: a table of contents.
 *
 * One library is three things: SQL functions, background workers, output
 * plugin (decoder.c).  Preloaded, it has shared memory and workers; loaded
 * into a session only, it has settings, labels and clear errors; so it is in
 * the servers that pg_upgrade starts, which must publish nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "database.h"
#include "launcher.h"
#include "outbox.h"
#include "settings.h"
#include "shared.h"
#include "shared_commit.h"
#include "slot.h"
#include "table.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	ev_settings_init();
	ev_outbox_init();
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (IsBinaryUpgrade)
	{
		ev_slot_allow_upgrade();
		return;
	}
	ev_shared_init();
	ev_shared_commit_init();
	ev_database_init();
	ev_table_init();
	ev_launcher_register();
}
