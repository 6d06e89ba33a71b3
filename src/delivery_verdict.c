/*-------------------------------------------------------------------------
 *
 * delivery_verdict.c
 *	  What becomes of a refused message?
 *
 * Kafka refuses a batch for one record in it; so a record that comes back is a
 * suspect, to be sent again alone before it is held to be what Kafka refuses,
 * and buried.
 *
 * Not so if Kafka refuses its topic, which may take librdkafka half a minute to
 * tell, and may pass: then all messages of the topic are held back for a while.
 * They are judged together, by a copy of the first that is sent as a test.
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

/* Has a record come back with which others would, were all sent as before? */
static bool refused_record = false;

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

/* Kafka's last word on a message, unless its topic is given some time. */
static void
judge(const EvSpooled *refused)
{
	if (!ev_batch_on() || !put_off(refused))
		ev_delivery_bury(refused);
}

/*
 * It is the topic that is refused.  But others of its messages may still be
 * under way that go before this one; so it comes back, to be held in its turn.
 */
static void
refuse_topic(const EvSpooled *refused)
{
	EvRecord   *record = refused->record;

	if (ev_refusal_begin(refused->message.topic, ev_instant_now()))
		ev_lineup_return(refused, record->number);
	else
		ev_delivery_bury(refused);
}

/* Kafka did not refuse the record, or for another's sake only. */
static void
come_back(const EvSpooled *refused, bool undecided)
{
	EvRecord   *record = refused->record;

	record->suspect |= !undecided;
	refused_record |= strcmp(refused->error_name, "_PURGE_QUEUE") != 0;
	ev_lineup_return(refused, record->number);
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
 * once, which is no batch's fault.
 */
void
ev_delivery_refuse(EvRecord *record, const EvSpooled *refused, bool at_once,
				   bool undecided)
{
	bool		may_pass = ev_refusal_may_pass(refused->error_name);

	if (record->trial == EV_TRIAL_TOPIC)
		end_trial(refused, undecided);
	else if (undecided)
		come_back(refused, true);
	else if (may_pass && !ev_batch_on())
		refuse_topic(refused);
	else if (record->trial == EV_TRIAL_ALONE ||
			 (at_once && (!may_pass ||
						  ev_refusal_expired(refused->message.topic,
											 ev_instant_now()))))
		judge(refused);
	else
		come_back(refused, false);
	ev_delivery_free_record(record);
}

/*
 * Since this was asked last: has a record come back with which others would,
 * were all sent as before?  Not one that was called back, or for its topic.
 */
bool
ev_delivery_refused_record(void)
{
	bool		result = refused_record;

	refused_record = false;
	return result;
}
