/*-------------------------------------------------------------------------
 *
 * position.c
 *	  How far is published, as Kafka keeps it.
 *
 * A position in WAL means something only together with the cluster and the
 * timeline that it is of; so these are kept beside it.  On another timeline
 * it counts as far as that is part of our history: what was written there
 * behind the switch is not in our WAL, and what is in ours was not published.
 * Standbys that are promoted without knowing of each other give their timelines
 * the same number; so where it began is kept as well.
 *
 * Promises: a position that is read is never ahead of what was published of
 * this server's own history.
 *
 * Keeps nothing but where the current timeline began.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/timeline.h"
#include "access/xlog.h"

#include "horizon.h"
#include "position.h"

/* timeline/system identifier/rows/part_of/beginning of the timeline */
#define NOTE_FORMAT "%u/" UINT64_FORMAT "/" INT64_FORMAT "/%X/%X/%X/%X"

/* A timeline of this server's history; NULL: it was never on that. */
static TimeLineHistoryEntry *
find_timeline(TimeLineID timeline, TimeLineID current)
{
	ListCell   *cell;

	foreach(cell, readTimeLineHistory(current))
	{
		TimeLineHistoryEntry *entry = lfirst(cell);

		if (entry->tli == timeline)
			return entry;
	}
	return NULL;
}

/* Where the current timeline began; invalid: it is the first, or nobody knows. */
static XLogRecPtr
beginning_of(TimeLineID current)
{
	static TimeLineID known = 0;
	static XLogRecPtr beginning = InvalidXLogRecPtr;

	if (known != current)
		beginning = find_timeline(current, current)->begin;
	known = current;
	return beginning;
}

/* As Kafka is to keep it. */
void
ev_position_write(const EvPosition *position, EvStoredPosition *stored)
{
	TimeLineID	timeline;
	XLogRecPtr	beginning;

	ev_horizon(&timeline);
	beginning = beginning_of(timeline);
	memset(stored, 0, sizeof(*stored));
	stored->lsn = position->lsn;
	snprintf(stored->note, sizeof(stored->note), NOTE_FORMAT, timeline,
			 GetSystemIdentifier(), position->rows,
			 LSN_FORMAT_ARGS(position->rows > 0 ? position->part_of : InvalidXLogRecPtr),
			 LSN_FORMAT_ARGS(beginning));
}

/* Says why a position does not count; it is then unknown. */
static EvPosition
ignore(const EvStoredPosition *stored, const char *reason)
{
	EvPosition	none = {InvalidXLogRecPtr, 0, InvalidXLogRecPtr};

	ereport(LOG,
			(errmsg("the position %X/%X that Kafka keeps does not count here: %s",
					LSN_FORMAT_ARGS(stored->lsn), reason),
			 errdetail("What is kept beside it is \"%s\".", stored->note)));
	return none;
}

/* What is beside a position. */
typedef struct Note
{
	unsigned int timeline;
	unsigned long long system;
	long long	rows;
	XLogRecPtr	part_of;
	XLogRecPtr	beginning;		/* of the timeline; invalid: not known */
} Note;

/* False: it is not ours.  Earlier ones do not say where the timeline began. */
static bool
parse_note(const char *text, Note *note)
{
	unsigned int part[2] = {0, 0};
	unsigned int begin[2] = {0, 0};
	int			count = sscanf(text, "%u/%llu/%lld/%X/%X/%X/%X", &note->timeline,
							   &note->system, &note->rows, &part[0], &part[1],
							   &begin[0], &begin[1]);

	note->part_of = ((uint64) part[0]) << 32 | part[1];
	note->beginning = ((uint64) begin[0]) << 32 | begin[1];
	return count == 5 || count == 7;
}

/* What counts of a position that Kafka kept; unknown if nothing does. */
EvPosition
ev_position_read(const EvStoredPosition *stored)
{
	EvPosition	position = {stored->lsn, 0, InvalidXLogRecPtr};
	TimeLineID	current;
	XLogRecPtr	end = GetFlushRecPtr(&current);
	TimeLineHistoryEntry *timeline;
	Note		note;

	if (XLogRecPtrIsInvalid(stored->lsn))
		return position;
	if (!parse_note(stored->note, &note))
		return ignore(stored, "it was not stored by eventuate");
	if (note.system != GetSystemIdentifier())
		return ignore(stored, "it is of another server");
	timeline = find_timeline(note.timeline, current);
	if (timeline == NULL)
		return ignore(stored, psprintf("timeline %u is not in the history of this server", note.timeline));
	if (!XLogRecPtrIsInvalid(note.beginning) && note.beginning != timeline->begin)
		return ignore(stored, psprintf("it is of another timeline %u than that of this server, which began at %X/%X",
									   note.timeline, LSN_FORMAT_ARGS(timeline->begin)));
	if (note.timeline != current)
		end = timeline->end;
	else if (position.lsn > end)
		return ignore(stored, "the write-ahead log ends before it; this server was restored");
	position.rows = note.rows;
	position.part_of = note.part_of;
	position.lsn = Min(position.lsn, end);
	if (position.part_of > end)
		position.rows = 0;
	return position;
}
