/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  When there is nothing to read: how long to wait, and for what.
 *
 * A single message goes out at once: a commit wakes the publisher.  Messages
 * that come one upon the other are read in batches, with a nap between, since
 * a wake-up for each costs both sides more than it is worth.
 *
 * Promises: no commit is missed; a commit that is not flushed yet
 * (synchronous_commit = off) does not wait for the WAL writer.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/timestamp.h"

#include "delivery.h"
#include "horizon.h"
#include "pace.h"
#include "slot.h"
#include "worker.h"

/* In ms: how long a nap is, at least and at most. */
#define NAP 2
#define LONG_NAP 30

/* In ms: how long a nap may be for the sake of what Kafka has not answered. */
#define PATIENCE 20

/* Over so many rounds: what comes behind a stall is soon over. */
#define SMOOTHED 8

/* When all that may be read was read, and when that was all there is. */
static EvInstant caught_up_at = 0;
static TimestampTz end_seen_at = 0;

/* When all that may be read was last read; 0: not yet. */
EvInstant
ev_pace_caught_up_at(void)
{
	return caught_up_at;
}

/* When that was last all that there is; 0: not yet. */
TimestampTz
ev_pace_end_seen_at(void)
{
	return end_seen_at;
}

/* Asynchronous commits are not flushed when they wake us: we do that. */
void
ev_pace_flush_commits(EvDatabase *me)
{
	XLogRecPtr	lsn = pg_atomic_read_u64(&me->commit_lsn);

	if (lsn > GetFlushRecPtr(NULL))
		XLogFlush(lsn);
}

/*
 * Waits for a commit.  The flag goes up before the last look at WAL: a commit
 * after that look sees the flag and sets the latch.
 */
static void
sleep_until_commit(EvDatabase *me)
{
	pg_atomic_exchange_u32(&me->sleeping, 1);
	if (ev_slot_caught_up() &&
		pg_atomic_read_u64(&me->commit_lsn) <= GetFlushRecPtr(NULL))
		ev_worker_wait();
	pg_atomic_exchange_u32(&me->sleeping, 0);
}

/*
 * Stays deaf for so many ms, so that several commits, and several delivery
 * reports, make one batch.
 */
static void
stay_deaf(int ms)
{
	EvInstant	end = ev_instant_now() + ms * INT64CONST(1000);
	EvInstant	now;

	while ((now = ev_instant_now()) < end)
		ev_worker_wait_deaf((end - now + 999) / 1000);
	ev_delivery_serve();
}

/*
 * The same for longer, while Kafka has not answered: what is sent meanwhile
 * would only wait in librdkafka, whose threads do not sleep then.
 */
static void
nap(int ms)
{
	EvInstant	began_at = ev_instant_now();

	stay_deaf(ms);
	while (!ev_delivery_answered() &&
		   !ev_instant_passed(began_at, ev_instant_now(), PATIENCE))
		stay_deaf(NAP);
}

/*
 * How long to nap, in ms, now that so many messages came in so many us.  After a
 * nap each partition gets a request, which costs us and Kafka as much as a
 * hundred records, and a slow machine that makes many of them stays slow.  So
 * the nap grows with the rate, and faster than that: it is the shortest up to 4
 * messages a ms, where nobody should wait yet, and the longest from 10 on.
 */
static int
nap_for(uint64 news, EvInstant took)
{
	static double rate = 0;		/* messages a ms, smoothed */

	rate += (news * 1000.0 / Max(took, 1) - rate) / SMOOTHED;
	return (int) Min(Max(rate * rate * rate / 32, NAP), LONG_NAP);
}

/*
 * Nothing more to read.  If messages come one upon the other, a nap makes
 * batches of them, the longer the more there are; if not, each is worth waking
 * up for at once.
 */
void
ev_pace_wait(EvDatabase *me)
{
	static uint64 seen = 0;
	static EvInstant began_at = 0;
	static EvInstant ended_at = 0;
	static bool napped = false;
	EvInstant	now = ev_instant_now();
	uint64		news = ev_delivery_sent() - seen;
	bool		crowded = news > 0 &&
	(napped || now - ended_at < NAP * INT64CONST(1000));
	int			ms = nap_for(crowded ? news : 0, now - began_at);

	caught_up_at = began_at = now;
	if (ev_horizon_is_end())
		end_seen_at = GetCurrentTimestamp();
	seen += news;
	napped = crowded;
	ev_delivery_push();
	if (crowded)
		nap(ms);
	if (news > 0)
		ended_at = ev_instant_now();
	if (!crowded)
		sleep_until_commit(me);
}
