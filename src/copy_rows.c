/*-------------------------------------------------------------------------
 *
 * copy_rows.c
 *	  Rows of outboxes that are sent again, through eventuate.record.
 *
 * In the caller's transaction, and as the owner of eventuate.record: whoever
 * may ask for it may have what is in the tables sent.
 *
 * Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/snapmgr.h"

#include "copy_record.h"
#include "copy_rows.h"
#include "owner.h"
#include "text_form.h"

static void
ignore_commit(const EvOrigin *origin)
{
}

/*
 * Makes messages of the rows of tables that ev_backlog_lock_table() returned,
 * as everybody sees them now, and closes the tables; their locks stay.
 */
void
ev_copy_rows(List *relations, const EvCopying *copying)
{
	EvSink		sink = {copying->message, copying->malformed, ignore_commit};
	EvBacklog	backlog = {.filter = copying->filter};
	EvOwner		saved;

	ev_owner_assume(ev_copy_owner(), &saved);
	ev_text_form_assume();
	backlog.scan = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(backlog.scan);
	(void) ev_backlog_send(relations, &backlog, &sink);
	PopActiveSnapshot();
	UnregisterSnapshot(backlog.scan);
	ev_owner_resume(&saved);
}
