/*-------------------------------------------------------------------------
 *
 * delivery_again.c
 *	  What has come back is sent again.
 *
 * What was to follow a refused record is called back, and goes behind it again,
 * so that nothing overtakes: at first by the producer itself, as soon as a broker
 * has refused something.  What a broker is already busy with cannot be called
 * back; librdkafka's sequence numbers make the broker refuse that as well, and
 * then it is in the producer's queue again.
 * With batches, all of the batch comes back.
 *
 * Topics that messages are held back for are tried now and then.
 *
 * Nothing of this survives a restart, which sends all of it again.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "batch.h"
#include "delivery.h"
#include "delivery_again.h"
#include "delivery_send.h"
#include "delivery_verdict.h"
#include "lineup.h"
#include "producer.h"
#include "refusal.h"

/*
 * In ms, how often more is called back: what a broker has refused for its
 * sequence numbers is in librdkafka's queue for retry.backoff.ms (100).
 */
#define RECALL_INTERVAL 10

/* Is a batch in the way of what is tried alone?  Then it comes to its end. */
static bool
must_wait_for_batch(const EvSpooled *suspect)
{
	if (!ev_batch_on())
		return false;
	ev_batch_close();
	return !ev_batch_is_new() ||
		ev_refusal_is_put_off(suspect->message.topic, ev_instant_now());
}

/* Sends the first message that has come back; false: not now. */
static bool
send_first(const EvSpooled *first)
{
	const EvRecord *known = first->record;
	EvRecord   *record;

	if (known->suspect && must_wait_for_batch(first))
		return false;
	if (ev_delivery_trying() ||
		!(known->suspect ? ev_delivery_producer_empty() : ev_delivery_room()))
		return false;
	record = ev_delivery_copy_record(first);
	record->trial = known->suspect ? EV_TRIAL_ALONE : EV_TRIAL_NONE;
	if (!ev_delivery_hand_over(record, &first->message))
	{
		ev_delivery_free_record(record);
		return false;
	}
	ev_lineup_drop_first();
	return true;
}

/* Has everything come back that will? */
static bool
all_is_back(void)
{
	return ev_delivery_producer_empty() && (!ev_batch_on() || ev_batch_is_new());
}

static void
call_back(void)
{
	if (ev_batch_on())
		ev_batch_break();
	else
		ev_producer_recall();
}

/*
 * Sends what has come back, in the order in which it was decoded.  Before that
 * everything else comes back as well, or is acknowledged.
 */
static void
send_again(void)
{
	const EvSpooled *first;

	while (ev_delivery_failure() == NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (ev_lineup_returning() && !all_is_back())
		{
			call_back();
			ev_delivery_wait_for(RECALL_INTERVAL);
		}
		else if (ev_lineup_returning())
		{
			ev_lineup_line_up();
			if (ev_batch_on() || ev_delivery_refused_record())
				ev_delivery_begin_small();
		}
		else if ((first = ev_lineup_first()) == NULL)
			break;
		else if (ev_refusal_holds(first->message.topic))
		{
			((EvRecord *) first->record)->suspect = false;
			ev_refusal_hold(first);
			ev_lineup_drop_first();
		}
		else if (!send_first(first))
			ev_delivery_wait();
	}
}

/* Tries topics whose time has come, by a copy of what is held first. */
static void
try_held_topics(void)
{
	EvInstant	now = ev_instant_now();
	EvSpooled	first;

	while (ev_delivery_failure() == NULL && ev_refusal_due(now, &first))
	{
		EvRecord   *record = ev_delivery_copy_record(&first);

		record->trial = EV_TRIAL_TOPIC;
		if (ev_delivery_hand_over(record, &first.message))
			continue;
		ev_refusal_try_later(first.message.topic, now);
		ev_delivery_free_record(record);
		return;
	}
}

/*
 * What has come back is sent again, here and now, and goes before a topic that
 * may be open again; not within itself.
 */
void
ev_delivery_try_again(void)
{
	static bool trying = false;
	MemoryContext context;
	MemoryContext old_context;

	if (trying || ev_delivery_failure() != NULL)
		return;
	trying = true;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"eventuate refused messages",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	send_again();
	if (ev_refusal_any())
	{
		try_held_topics();
		send_again();
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	trying = false;
}
