/*-------------------------------------------------------------------------
 *
 * slot_pages.c
 *	  Pages of WAL, read several at a time.
 *
 * PostgreSQL's reader asks for a page at a time, and to ask the kernel for each
 * costs about as much as the page itself.  Where there is more, pages that are
 * whole, and so will never change, are read ahead.
 *
 * Owns these pages.  Promises: no page is kept that is not whole; the segment
 * that the reader has open is the one that its page is in, as it believes.
 *
 * Nothing survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"

#include "slot_pages.h"

/* So much is read at once, in bytes. */
#define AHEAD (8 * XLOG_BLCKSZ)

/* What was read ahead last: whole pages of one segment. */
static char pages[AHEAD];
static XLogRecPtr pages_start = InvalidXLogRecPtr;
static Size pages_size = 0;		/* 0: nothing */
static TimeLineID pages_timeline = 0;

/* Behind the page that was asked for last. */
static XLogRecPtr next_page = InvalidXLogRecPtr;

/* For another reader. */
void
ev_slot_pages_forget(void)
{
	pages_size = 0;
	next_page = InvalidXLogRecPtr;
}

static void
read_wal(XLogReaderState *state, XLogRecPtr start, Size size,
		 TimeLineID timeline, char *buffer)
{
	WALReadError error;
	XLogSegNo	segment;

	if (!WALRead(state, buffer, start, size, timeline, &error))
		WALReadRaiseError(&error);
	XLByteToSeg(start, segment, wal_segment_size);
	CheckXLogRemoved(segment, state->seg.ws_tli);
}

/*
 * How many bytes of whole pages there are before "end", of one segment.  Only
 * for whoever reads on: the first page of a segment is looked at alone.
 */
static Size
whole_pages(XLogRecPtr page, XLogRecPtr end)
{
	Size		segment = wal_segment_size - XLogSegmentOffset(page, wal_segment_size);

	end -= end % XLOG_BLCKSZ;
	return page != next_page || end <= page ? 0 : Min(Min(end - page, segment), AHEAD);
}

/*
 * Reads the page that begins at "page", of which there is something before
 * "end": what is behind is zeroes, or not ours to look at.  Throws if it is not
 * there, or not anymore.
 */
void
ev_slot_pages_read(XLogReaderState *state, XLogRecPtr page, XLogRecPtr end,
				   TimeLineID timeline, char *buffer)
{
	Size		size;

	Assert(page % XLOG_BLCKSZ == 0);
	if (timeline != pages_timeline || page < pages_start ||
		page >= pages_start + pages_size)
	{
		size = whole_pages(page, end);
		/* First of all: reading opens another segment, and may throw. */
		pages_size = 0;
		if (size > XLOG_BLCKSZ)
		{
			read_wal(state, page, size, timeline, pages);
			pages_start = page;
			pages_size = size;
			pages_timeline = timeline;
		}
		else
			read_wal(state, page, XLOG_BLCKSZ, timeline, buffer);
	}
	if (pages_size > 0)
		memcpy(buffer, pages + (page - pages_start), XLOG_BLCKSZ);
	next_page = page + XLOG_BLCKSZ;
}
