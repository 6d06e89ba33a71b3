/*-------------------------------------------------------------------------
 *
 * slot_wal.c
 *	  Is the WAL there that the slot is to be read from?
 *
 * The server keeps what a slot needs, but files get lost: somebody makes room
 * in pg_wal, or a data directory is copied without it.  The slot looks well
 * then, and reading it fails again and again.
 *
 * Looks at the directory, not into the files.  Keeps nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/timeline.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"

#include "slot_list.h"
#include "slot_wal.h"

/* Is the segment there, on any of the timelines that led here? */
static bool
segment_exists(XLogSegNo segment, List *timelines)
{
	char		path[MAXPGPATH];
	ListCell   *cell;

	foreach(cell, timelines)
	{
		TimeLineHistoryEntry *timeline = lfirst(cell);

		XLogFilePath(path, timeline->tli, segment, wal_segment_size);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* For a slot that is good and that nobody reads. */
bool
ev_slot_wal_is_there(void)
{
	EvSlotBurden burden;
	TimeLineID	timeline;
	XLogRecPtr	end = GetFlushRecPtr(&timeline);
	List	   *timelines = readTimeLineHistory(timeline);
	XLogSegNo	segment;
	XLogSegNo	last;

	if (!ev_slot_burden(&burden))
		return false;
	XLByteToSeg(burden.restart_lsn, segment, wal_segment_size);
	XLByteToPrevSeg(end, last, wal_segment_size);
	for (; segment <= last; segment++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!segment_exists(segment, timelines))
			return false;
	}
	return true;
}
