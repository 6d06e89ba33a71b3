/*-------------------------------------------------------------------------
 *
 * publisher_show.c
 *	  What the publisher shows of itself: its state, and the reason for it.
 *
 * Asks everybody who may be in the way - Kafka, a standby, a topic, a
 * transaction that does not end - and shows the gravest answer.  Decides
 * nothing: whoever waits does that.
 *
 * Owns one thing, whether there is no slot to go on from, which every reason
 * for waiting says besides.  A restart finds out anew.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"

#include "delivery.h"
#include "horizon.h"
#include "pace.h"
#include "producer.h"
#include "publisher_show.h"
#include "refusal.h"
#include "worker.h"

/* All in ms. */
#define CAUGHT_UP_GRACE 1000	/* this long behind is still "streaming" */
#define STALL_GRACE 5000		/* for an acknowledgement */

/* At rest or waiting for Kafka: is there no slot to go on from? */
static bool without_slot = false;

/* From now on reasons say that there is no slot, or no longer. */
void
ev_publisher_show_slot(bool there)
{
	without_slot = !there;
}

/* A reason, NULL for none, and besides that there is no slot, if so. */
static const char *
explain(const char *reason)
{
	static char text[EV_ERROR_LENGTH];

	if (!without_slot)
		return reason;
	snprintf(text, sizeof(text),
			 "%s%sthere is no replication slot, messages will be published from the tables",
			 reason ? reason : "", reason ? "; " : "");
	return text;
}

/* Shows a state of rest, and for what; NULL: that says all. */
void
ev_publisher_show_rest(EvState state, const char *reason)
{
	ev_worker_show(state, explain(reason));
}

/* Shows that nothing more can be sent, now or ever; false: it can. */
bool
ev_publisher_show_trouble(void)
{
	if (ev_delivery_failure() != NULL)
		ev_worker_show(EV_STATE_STOPPED, ev_delivery_failure());
	else if (ev_producer_state() == EV_KAFKA_DOWN)
		ev_worker_show(EV_STATE_WAITING, explain(ev_producer_error()));
	else
		return false;
	return true;
}

/* Why Kafka does not acknowledge what it was sent a while ago; NULL: it does. */
static const char *
explain_stall(EvInstant now)
{
	EvInstant	oldest = ev_delivery_oldest();
	const char *where;

	if (oldest == 0 || !ev_instant_passed(oldest, now, STALL_GRACE))
		return NULL;
	where = ev_producer_stuck();
	return where != NULL ? where : "Kafka does not acknowledge what it was sent";
}

/* The state while the slot is read. */
void
ev_publisher_show_streaming(EvInstant now)
{
	const char *stall = explain_stall(now);
	const char *held_back;

	if (ev_publisher_show_trouble())
		return;
	held_back = ev_horizon_explain(now);
	if (held_back != NULL)
		ev_worker_show(EV_STATE_WAITING, held_back);
	else if (stall != NULL &&
			 ev_instant_passed(ev_delivery_acknowledged_at(), now, STALL_GRACE))
		ev_worker_show(EV_STATE_WAITING, explain(stall));
	else if (now - ev_pace_caught_up_at() < CAUGHT_UP_GRACE * INT64CONST(1000))
		ev_worker_show(EV_STATE_STREAMING, stall ? stall : ev_refusal_explain());
	else
		ev_worker_show(EV_STATE_CATCHING_UP, stall);
}

/* Recovery's slot has to wait for a transaction: say so. */
void
ev_publisher_show_blocker(TransactionId blocker)
{
	char		reason[EV_ERROR_LENGTH];

	if (!TransactionIdIsValid(blocker))
		return;
	snprintf(reason, sizeof(reason),
			 "the replication slot waits for transaction %u to end; messages are published from the tables meanwhile",
			 blocker);
	ev_worker_show(EV_STATE_RECOVERING, reason);
}

/* Recovery has to wait for standbys: say so when that takes long. */
void
ev_publisher_show_standbys(void)
{
	const char *held_back = ev_horizon_explain(ev_instant_now());

	if (held_back != NULL)
		ev_worker_show(EV_STATE_RECOVERING, held_back);
}
