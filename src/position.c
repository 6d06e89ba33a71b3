/*-------------------------------------------------------------------------
 *
 * position.c
 *	  How far is published, as Kafka keeps it.
 *
 * A position in WAL means something only together with the cluster and the
 * timeline that it is of; so these are kept beside it.  On another timeline
 * it counts as far as that is part of our history: what was written there
 * behind the switch is not in our WAL, and what is in ours was not published.
 *
 * Promises: a position that is read is never ahead of what was published of
 * this server's own history.
 *
 * Keeps nothing.
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

/* timeline/system identifier/rows/part_of */
#define NOTE_FORMAT "%u/" UINT64_FORMAT "/" INT64_FORMAT "/%X/%X"

/* As Kafka is to keep it. */
void
ev_position_write(const EvPosition *position, EvStoredPosition *stored)
{
	TimeLineID	timeline;

	ev_horizon(&timeline);
	memset(stored, 0, sizeof(*stored));
	stored->lsn = position->lsn;
	snprintf(stored->note, sizeof(stored->note), NOTE_FORMAT, timeline,
			 GetSystemIdentifier(), position->rows,
			 LSN_FORMAT_ARGS(position->rows > 0 ? position->part_of : InvalidXLogRecPtr));
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

/* Where our history left a timeline; invalid: it was never on that. */
static XLogRecPtr
switch_point(TimeLineID timeline, TimeLineID current)
{
	List	   *history = readTimeLineHistory(current);

	return tliInHistory(timeline, history) ?
		tliSwitchPoint(timeline, history, NULL) : InvalidXLogRecPtr;
}

/* What counts of a position that Kafka kept; unknown if nothing does. */
EvPosition
ev_position_read(const EvStoredPosition *stored)
{
	EvPosition	position = {stored->lsn, 0, InvalidXLogRecPtr};
	TimeLineID	current;
	XLogRecPtr	end = GetFlushRecPtr(&current);
	unsigned int timeline;
	unsigned long long system;
	long long	rows;
	unsigned int high;
	unsigned int low;

	if (XLogRecPtrIsInvalid(stored->lsn))
		return position;
	if (sscanf(stored->note, "%u/%llu/%lld/%X/%X", &timeline, &system, &rows,
			   &high, &low) != 5)
		return ignore(stored, "it was not stored by eventuate");
	if (system != GetSystemIdentifier())
		return ignore(stored, "it is of another server");
	position.rows = rows;
	position.part_of = ((uint64) high) << 32 | low;
	if (timeline != current)
	{
		end = switch_point(timeline, current);
		if (XLogRecPtrIsInvalid(end))
			return ignore(stored, psprintf("timeline %u is not in the history of this server", timeline));
	}
	else if (position.lsn > end)
		return ignore(stored, "the write-ahead log ends before it; this server was restored");
	position.lsn = Min(position.lsn, end);
	if (position.part_of > end)
		position.rows = 0;
	return position;
}
