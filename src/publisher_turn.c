/*-------------------------------------------------------------------------
 *
 * publisher_turn.c
 *	  A turn of the publisher's loop: everything but reading WAL, once.
 *
 * Requests, delivery reports, confirmation, what is shown.  Whoever has to
 * wait in the middle of something - for room in Kafka's queue, for Kafka to
 * answer, for a slot to be born - takes turns meanwhile; so nothing here may
 * rely on where reading is.
 *
 * Owns what the start and the loop have in common (EvPublisher).  Promises:
 * whoever wants the process to go, or something of it, is heard at every turn.
 *
 * Nothing here survives a restart: all there is to know is in the slot and in
 * eventuate.progress.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "confirm.h"
#include "delivery.h"
#include "exactly_once.h"
#include "pace.h"
#include "producer.h"
#include "publisher_show.h"
#include "publisher_turn.h"
#include "settings.h"
#include "slot.h"
#include "wal_limit.h"
#include "worker.h"

/* All in ms. */
#define AWAY_GRACE 10000		/* without Kafka, while recovery holds
								 * something */
#define WAL_INTERVAL 1000		/* between looks at how much WAL is held back */
#define SETTLED_AFTER 30000		/* publishing for so long is a success */

EvPublisher ev_publisher;

/* How Kafka was to be reached when the process began. */
static char *kafka_fingerprint = NULL;

/* Before the first turn. */
void
ev_publisher_begin_turns(void)
{
	ev_progress_watch();
	kafka_fingerprint = ev_settings_kafka_fingerprint(ev_worker_database());
}

/* The extension is gone, and with it everything of ours. */
static void
leave_for_good(void)
{
	ev_publisher.decoding = false;
	ev_slot_drop();
	ereport(LOG,
			(errmsg("extension eventuate is not in database \"%s\" anymore",
					ev_worker_database())));
	SpinLockAcquire(&ev_publisher.database->mutex);
	ev_publisher.database->installed = false;
	SpinLockRelease(&ev_publisher.database->mutex);
	proc_exit(0);
}

static void
reload(void)
{
	char	   *fingerprint;

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (!ev_settings_database_allowed(ev_worker_database()))
		ev_worker_want_restart();
	fingerprint = ev_settings_kafka_fingerprint(ev_worker_database());
	if (strcmp(fingerprint, kafka_fingerprint) != 0)
		ev_worker_want_restart();
	pfree(fingerprint);

	/* Whoever mends a setting expects a stopped publisher to try again. */
	if (ev_delivery_failure() != NULL || ev_publisher.retry_at_reload)
		ev_worker_want_restart();
}

/* Does somebody want this process to go, or something of it? */
static void
check_requests(void)
{
	ev_worker_check_requests();
	if (ConfigReloadPending)
		reload();
	if (!ev_delivery_may_use_tables() || !ev_progress_changed())
		return;
	if (!ev_progress_load(&ev_publisher.progress))
		leave_for_good();
	if (ev_publisher.progress.replaced)
		ev_worker_want_restart();
}

/* A publisher that has published for a while has not failed to start. */
static void
settle(EvInstant now)
{
	static EvInstant since = 0;
	static bool settled = false;

	if (since == 0)
		since = now;
	if (!settled &&
		ev_instant_passed(since, now, SETTLED_AFTER))
	{
		ev_worker_settled();
		settled = true;
	}
}

/*
 * Gives up a slot that holds back too much WAL.  One that is open may be in
 * the middle of a transaction: another process does it then, before it opens
 * the slot.  One that is being born is recovery's business.
 */
static void
limit_wal(EvInstant now)
{
	static EvInstant looked_at = 0;

	if (now - looked_at < WAL_INTERVAL * INT64CONST(1000) ||
		(ev_slot_is_held() && !ev_publisher.decoding))
		return;
	looked_at = now;
	if (!ev_wal_limit_exceeded())
		return;
	if (ev_publisher.decoding)
		ev_worker_leave_and_come_back();
	ev_wal_limit_give_up();
	ev_publisher_show_slot(false);
}

/*
 * Where messages are in WAL alone the slot must not be given up, nor after a
 * restart of the server, which forgets what was in shared memory.
 */
static void
remember_wal_messages(void)
{
	if (!ev_publisher.progress.wal_messages &&
		pg_atomic_read_u64(&ev_publisher.database->wal_message_lsn) != 0)
		ev_publisher.progress.wal_messages = ev_progress_store_wal_messages();
}

/*
 * A slot that is being born holds back vacuum in the whole database, and so
 * does a round that is read from the tables, which has locks on them as well.
 * That is not worth it while nothing can be sent: away with it.  What a round
 * has sent is sent again then; so Kafka has to be away for as long as it took.
 */
static void
give_up_recovery(EvInstant now)
{
	static EvInstant there_at = 0;
	int64		patience = AWAY_GRACE * INT64CONST(1000);

	if (ev_producer_state() != EV_KAFKA_DOWN)
		there_at = now;
	else if (ev_slot_is_held() || IsTransactionState())
	{
		if (!ev_slot_is_held())
			patience = Max(patience, there_at - ev_publisher.round_began_at);
		if (now - there_at >= patience)
			ev_worker_leave_and_come_back();
	}
}

/*
 * Everything but reading, once.  May run inside a decoding callback: reading
 * is then in the middle of a transaction, which is not in the way of any of
 * this.  May end the process.
 */
void
ev_publisher_turn(void)
{
	EvInstant	now;

	check_requests();
	limit_wal(ev_instant_now());
	if (!ev_publisher.connected)
		return;
	ev_delivery_serve();
	if (ev_producer_state() == EV_KAFKA_FATAL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("the Kafka producer cannot go on: %s", ev_producer_error()),
				 errdetail("Publishing starts afresh behind the last confirmed position.")));
	if (ev_delivery_may_use_tables())
		ev_delivery_store_letters();
	now = ev_instant_now();
	if (ev_publisher.decoding)
	{
		settle(now);
		ev_exactly_once_keep_position(now);
		ev_confirm(now, ev_pace_end_seen_at());
		ev_publisher_show_streaming(now);
		if (ev_delivery_may_use_tables())
		{
			ev_confirm_store_progress(now);
			remember_wal_messages();
		}
	}
	else
		give_up_recovery(now);
}

/*
 * One turn for whoever has to wait in the middle of something, for no longer
 * than so many ms.  What the producer had to say just now may be what he waits
 * for.
 */
void
ev_publisher_wait_turn_for(long timeout_ms)
{
	uint64		wakes = ev_producer_wakes();

	ev_publisher_turn();
	if (ev_producer_wakes() == wakes)
		ev_worker_wait_for(timeout_ms);
	ev_publisher_turn();
}

/* The same, as long as nothing happens. */
void
ev_publisher_wait_turn(void)
{
	ev_publisher_wait_turn_for(EV_FALLBACK_POLL);
}

/* Waits, in a state of rest, for a request that ends it. */
void
ev_publisher_rest(EvState state, const char *reason)
{
	for (;;)
	{
		ev_publisher_show_rest(state, reason);
		ev_publisher_turn();
		if (ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		ev_worker_wait();
	}
}

/* Waits until everything sent is acknowledged. */
void
ev_publisher_drain(void)
{
	while (!ev_delivery_idle())
	{
		ev_delivery_flush();
		ev_delivery_push();
		if (ev_publisher_show_trouble() && ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		if (!ev_publisher.decoding && ev_delivery_failure() != NULL)
			ev_slot_release();
		ev_publisher_wait_turn();
	}
}
