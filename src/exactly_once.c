/*-------------------------------------------------------------------------
 *
 * exactly_once.c
 *	  From the position that Kafka keeps to the slot, and back.
 *
 * With eventuate.exactly_once Kafka has the last word on what is published:
 * the position that it keeps was committed together with the records.  So
 * decoding begins there, and not where the slot is confirmed, which follows.
 *
 * Kafka forgets the positions of a group without members after a while (seven
 * days, unless set otherwise), so one is stored now and then also where
 * nothing is published; and sooner where WAL that is not ours waits to be set
 * free, since the slot is confirmed no further than Kafka knows.
 *
 * Where Kafka has no position, or none that counts, publishing goes on from
 * the slot, at least once.
 *
 * A restart is what this file is for.  Without the setting it does nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "batch.h"
#include "delivery.h"
#include "exactly_once.h"
#include "slot.h"
#include "slot_list.h"

/* In ms: how often a position is stored for its own sake, if it is new or not. */
#define NEW_INTERVAL 10000
#define SAME_INTERVAL 3600000

/* Was a position stored that the slot begins with? */
static bool settled = false;

/* Asks for transactions.  Once Kafka has answered. */
void
ev_exactly_once_begin(void)
{
	if (ev_batch_on())
		ev_producer_start_transactions();
}

/* Can records be sent? */
bool
ev_exactly_once_ready(void)
{
	return !ev_batch_on() || ev_batch_is_new();
}

static EvPosition
slot_position(XLogRecPtr confirmed)
{
	EvPosition	position = {confirmed, 0, InvalidXLogRecPtr};

	return position;
}

/* Where to go on: Kafka's position, or the slot's. */
static EvPosition
choose(XLogRecPtr confirmed)
{
	const EvStoredPosition *stored = ev_producer_stored_position();
	EvPosition	position = ev_position_read(stored);

	if (!XLogRecPtrIsInvalid(stored->lsn) && stored->lsn < confirmed)
		ereport(WARNING,
				(errmsg("the position %X/%X that Kafka keeps is behind replication slot \"%s\", which is confirmed to %X/%X",
						LSN_FORMAT_ARGS(stored->lsn), ev_slot_name(MyDatabaseId),
						LSN_FORMAT_ARGS(confirmed)),
				 errdetail("Publishing goes on from there. Either eventuate.exactly_once was off meanwhile, or Kafka has lost what was published in between.")));
	if (position.lsn < confirmed)
	{
		ereport(LOG,
				(errmsg("publishing goes on from %X/%X, where the slot is confirmed",
						LSN_FORMAT_ARGS(confirmed))));
		return slot_position(confirmed);
	}
	ereport(LOG,
			(errmsg("publishing goes on from %X/%X, as Kafka knows",
					LSN_FORMAT_ARGS(position.lsn)),
			 position.rows == 0 ? 0 :
			 errdetail("Of the transaction that ends at %X/%X, " INT64_FORMAT " messages are published.",
					   LSN_FORMAT_ARGS(position.part_of), position.rows)));
	return position;
}

/*
 * Where decoding is to begin; invalid: where the slot is confirmed.  For a slot
 * that is good and that nobody reads.
 */
XLogRecPtr
ev_exactly_once_resume(void)
{
	EvSlotBurden burden;
	EvPosition	position;

	if (!ev_batch_on() || !ev_slot_burden(&burden))
		return InvalidXLogRecPtr;
	position = settled ? slot_position(burden.confirmed) : choose(burden.confirmed);
	ev_delivery_resume(&position);
	return position.lsn;
}

/*
 * A new slot begins at "lsn": Kafka is to know before it is there for good.
 * False: not yet, ask again.
 */
bool
ev_exactly_once_store(XLogRecPtr lsn)
{
	static bool asked = false;

	if (!ev_batch_on())
		return true;
	if (!asked)
		asked = ev_delivery_store_position(lsn);
	settled = asked && ev_batch_committed() == lsn;
	return settled;
}

/* Stores a position for its own sake, when it is time. */
void
ev_exactly_once_keep_position(EvInstant now)
{
	XLogRecPtr	lsn;
	EvInstant	stored_at = ev_batch_committed_at();

	if (!ev_batch_on())
		return;
	lsn = ev_slot_position();
	if (ev_instant_passed(stored_at, now, SAME_INTERVAL) ||
		(lsn > ev_batch_committed() && ev_instant_passed(stored_at, now, NEW_INTERVAL)))
		(void) ev_delivery_store_position(Max(lsn, ev_batch_committed()));
}
