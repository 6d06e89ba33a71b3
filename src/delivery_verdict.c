/*-------------------------------------------------------------------------
 *
 * delivery_verdict.c
 *	  What becomes of a refused message?
 *
 * Kafka refuses a batch for one record in it; so a record that comes back is a
 * suspect, to be sent again alone before it is held to be what Kafka refuses.
 * Only then it is held back with its topic for a while, where what is wrong may
 * pass, or buried.  What is held for a topic is judged together, by a copy of its
 * first message that is sent as a test.
 *
 * A restart forgets suspicions and what is held: all of it is decoded again.
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
#include "delivery_letters.h"
#include "delivery_verdict.h"
#include "lineup.h"
#include "refusal.h"

/*
 * With batches nothing may pass a message for which its topic is given some
 * time: it comes back, and is tried again later.  False: no time is left.
 */
static bool
put_off(const EvSpooled *refused)
{
	EvRecord   *record = refused->record;

	if (!ev_refusal_put_off(refused, ev_instant_now()))
		return false;
	record->suspect = true;
	ev_lineup_return(refused, record->number);
	return true;
}

/*
 * Kafka's last word on a message, unless its topic is given some time; what is
 * held for that is no suspect anymore.
 */
static void
judge(const EvSpooled *refused)
{
	((EvRecord *) refused->record)->suspect = false;
	if (ev_batch_on() ? !put_off(refused) :
		!ev_refusal_hold(refused, ev_instant_now()))
		ev_delivery_bury(refused);
}

/* What was held, and was refused for the last time like its first message. */
static void
bury_all(EvSpool *held, const EvSpooled *first)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "eventuate dead letter",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	EvSpooled	message;

	while (ev_delivery_failure() == NULL && ev_spool_get(held, &message))
	{
		CHECK_FOR_INTERRUPTS();
		message.error_name = first->error_name;
		message.error = first->error;
		ev_delivery_bury(&message);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	ev_spool_destroy(held);
}

/* The topic of a test is not open; perhaps it never will be. */
static void
end_trial(const EvSpooled *refused, bool undecided)
{
	const char *topic = refused->message.topic;
	EvInstant	now = ev_instant_now();
	bool		may_pass = undecided || ev_refusal_may_pass(refused->error_name);
	EvSpool    *held;

	if (may_pass && (undecided || !ev_refusal_expired(topic, now)))
	{
		ev_refusal_try_later(topic, now);
		return;
	}
	held = ev_refusal_release(topic);
	ev_spool_drop(held);
	ev_delivery_bury(refused);
	if (may_pass)
		bury_all(held, refused);
	else
		ev_lineup_release(held);
}

/*
 * Kafka refused a record, or the batch that it was in; or librdkafka did, at
 * once, which is no batch's fault.  But a topic that librdkafka does not know
 * may still have records under way that go before this one.
 */
void
ev_delivery_refuse(EvRecord *record, const EvSpooled *refused, bool at_once,
				   bool undecided)
{
	if (record->trial == EV_TRIAL_TOPIC)
		end_trial(refused, undecided);
	else if (!undecided &&
			 (record->trial == EV_TRIAL_ALONE ||
			  (at_once && (!ev_refusal_may_pass(refused->error_name) ||
						   ev_refusal_expired(refused->message.topic,
											  ev_instant_now())))))
		judge(refused);
	else
	{
		record->suspect |= !undecided;
		ev_lineup_return(refused, record->number);
	}
	ev_delivery_free_record(record);
}
