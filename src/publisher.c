/*-------------------------------------------------------------------------
 *
 * publisher.c
 *	  The background worker that publishes one database's messages.
 *
 * The one loop: read WAL, decode, send, take delivery reports, confirm.  The
 * one wait: a latch (commits, signals), the producer's file descriptor, the
 * postmaster's death, a fallback of 100 ms.  Everything else that has to wait
 * - for room in Kafka's queue, for Kafka to answer, for a slot to be born -
 * takes turns of this loop.
 *
 * It stays as long as the extension is there: paused, stopped and not
 * configured are states of a living process, since somebody has to see the end
 * of them, and to take the slot away with the extension.  What needs another
 * start - pause and resume, other addresses of Kafka - is a restart of the
 * process: all there is to know is in the slot and in eventuate.progress.
 *
 * An unexpected error ends the process; the launcher starts another.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "confirm.h"
#include "decoder.h"
#include "delivery.h"
#include "exactly_once.h"
#include "horizon.h"
#include "outbox.h"
#include "pace.h"
#include "producer.h"
#include "progress.h"
#include "publisher.h"
#include "recovery.h"
#include "refusal.h"
#include "settings.h"
#include "shared.h"
#include "slot.h"
#include "slot_list.h"
#include "slot_wal.h"
#include "wal_limit.h"
#include "worker.h"

/* All in ms. */
#define CAUGHT_UP_GRACE 1000	/* this long behind is still "streaming" */
#define BIRTH_GRACE 10000		/* without Kafka, while a slot is being born */
#define ANSWER_GRACE 1000		/* for Kafka's first answer, before we say so */
#define TRANSACTIONS_GRACE 2000 /* for its end of a predecessor's transaction */
#define WAL_INTERVAL 1000		/* between looks at how much WAL is held back */
#define STALL_GRACE 5000		/* for an acknowledgement */
#define FINISH_GRACE 1000		/* for what is published before leaving */
#define SETTLED_AFTER 30000		/* publishing for so long is a success */

/* How many records are read before the rest of the loop has its turn. */
#define READ_BATCH 512

static EvDatabase *me = NULL;
static EvProgress progress;
static char *kafka_fingerprint = NULL;

/* May a reload mend what a person is waited for? */
static bool retry_at_reload = false;

/* Is there a producer to serve?  Is the slot open, to be confirmed? */
static bool connected = false;
static bool decoding = false;

/* At rest or waiting for Kafka: is there no slot to go on from? */
static bool without_slot = false;

static void turn(void);

/*
 * Before leaving: what is acknowledged is saved.  What is not is still in
 * WAL, so nothing is flushed and nobody waits for Kafka.
 */
static void
save_before_leaving(void)
{
	if (decoding)
		ev_confirm_save();
}

/*
 * Whoever waits for us to be gone (our entry says when) wants the slot to be
 * free as well.
 */
static void
release_slot(int code, Datum arg)
{
	pg_atomic_write_u32(&me->wal_is_kept, 0);
	ev_slot_release();
}

/* Runs last, when slot and process entry are free: it may take a while. */
static void
close_producer(int code, Datum arg)
{
	if (!ev_producer_close())
	{
		/* What exit() calls could pull libraries from under a thread. */
		_exit(code);
	}
}

/* The extension is gone, and with it everything of ours. */
static void
leave_for_good(void)
{
	decoding = false;
	ev_slot_drop();
	ereport(LOG,
			(errmsg("extension eventuate is not in database \"%s\" anymore",
					ev_worker_database())));
	SpinLockAcquire(&me->mutex);
	me->installed = false;
	SpinLockRelease(&me->mutex);
	proc_exit(0);
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

/* Shows that nothing more can be sent, now or ever; false: it can. */
static bool
show_trouble(void)
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
static void
show_streaming(EvInstant now)
{
	const char *stall = explain_stall(now);
	const char *held_back;

	if (show_trouble())
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

/* ---------------------------------------------------------------------
 * Waiting
 * ---------------------------------------------------------------------
 */

/* One turn for whoever has to wait in the middle of something. */
static void
wait_turn(void)
{
	turn();
	ev_worker_wait();
	turn();
}

/* ---------------------------------------------------------------------
 * The loop
 * ---------------------------------------------------------------------
 */

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
	if (ev_delivery_failure() != NULL || retry_at_reload)
		ev_worker_want_restart();
}

/* Does somebody want this process to go, or something of it? */
static void
check_requests(void)
{
	ev_worker_check_requests();
	if (ConfigReloadPending)
		reload();
	if (!IsTransactionState() && ev_progress_changed() &&
		!ev_progress_load(&progress))
		leave_for_good();
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
		(ev_slot_is_held() && !decoding))
		return;
	looked_at = now;
	if (!ev_wal_limit_exceeded())
		return;
	if (decoding)
		ev_worker_leave_and_come_back();
	ev_wal_limit_give_up();
	without_slot = true;
}

/*
 * Where messages are in WAL alone the slot must not be given up, nor after a
 * restart of the server, which forgets what was in shared memory.
 */
static void
remember_wal_messages(void)
{
	if (!progress.wal_messages &&
		pg_atomic_read_u64(&me->wal_message_lsn) != 0)
		progress.wal_messages = ev_progress_store_wal_messages();
}

/*
 * A slot that is being born holds back vacuum in the whole database.  It is
 * not worth that while nothing can be sent: away with it.
 */
static void
give_up_birth(EvInstant now)
{
	static EvInstant down_since = 0;

	if (ev_producer_state() != EV_KAFKA_DOWN)
		down_since = now;
	else if (ev_slot_is_held() &&
			 ev_instant_passed(down_since, now, BIRTH_GRACE))
		ev_worker_leave_and_come_back();
}

/*
 * Everything but reading, once.  May run inside a decoding callback: reading
 * is then in the middle of a transaction, which is not in the way of any of
 * this.  May end the process.
 */
static void
turn(void)
{
	EvInstant	now;

	check_requests();
	limit_wal(ev_instant_now());
	if (!connected)
		return;
	ev_delivery_serve();
	if (ev_producer_state() == EV_KAFKA_FATAL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("the Kafka producer cannot go on: %s", ev_producer_error()),
				 errdetail("Publishing starts afresh behind the last confirmed position.")));
	if (!IsTransactionState())
		ev_delivery_store_letters();
	now = ev_instant_now();
	if (decoding)
	{
		settle(now);
		ev_exactly_once_keep_position(now);
		ev_confirm(now, ev_pace_end_seen_at());
		show_streaming(now);
		if (!IsTransactionState())
		{
			ev_confirm_store_progress(now);
			remember_wal_messages();
		}
	}
	else
		give_up_birth(now);
}

/* Waits, in a state of rest, for a request that ends it. */
static void
rest(EvState state, const char *reason)
{
	for (;;)
	{
		ev_worker_show(state, explain(reason));
		turn();
		if (ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		ev_worker_wait();
	}
}

/* Waits until everything sent is acknowledged. */
static void
drain(void)
{
	while (!ev_delivery_idle())
	{
		ev_delivery_flush();
		if (show_trouble() && ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		if (!decoding && ev_delivery_failure() != NULL)
			ev_slot_release();
		wait_turn();
	}
}

/* Reads some WAL.  False: there is no more. */
static bool
read_some(void)
{
	for (int i = 0; i < READ_BATCH; i++)
	{
		if (ev_delivery_full() || ev_delivery_failure() != NULL)
			return true;
		if (!ev_slot_read())
			return false;
	}
	return true;
}

/*
 * Before leaving for who knows how long, and perhaps without the slot: what is
 * committed now is published and remembered, where that takes no time.
 */
static void
finish(void)
{
	EvInstant	start = ev_instant_now();

	drain();
	ev_confirm_hurry_progress();
	while (ev_confirm_progress_pending() && ev_delivery_failure() == NULL &&
		   !ev_instant_passed(start, ev_instant_now(), FINISH_GRACE))
	{
		if (!read_some())
			ev_worker_wait();
		turn();
	}
	drain();
}

/* Publishes for ever. */
static void
publish(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "eventuate publisher turn",
												  ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		/* A transaction leaves us in another context. */
		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
		turn();
		MemoryContextSwitchTo(context);
		if (ev_worker_restart_wanted())
		{
			finish();
			ev_worker_leave_and_come_back();
		}
		if (ev_delivery_failure() != NULL)
		{
			ev_worker_wait();
			continue;
		}
		ev_pace_flush_commits(me);
		if (!read_some())
		{
			ev_delivery_flush();
			ev_pace_wait(me);
		}
		else if (ev_delivery_full())
			ev_worker_wait();
	}
}

/* ---------------------------------------------------------------------
 * Starting
 * ---------------------------------------------------------------------
 */

/* Whoever is in the database first after a start knows what is to be polled. */
static void
register_outboxes(void)
{
	StartTransactionCommand();
	ev_outbox_register();
	CommitTransactionCommand();
}

/* Comes back only if there is something to publish, and to where. */
static void
check_permission(void)
{
	const char *database = ev_worker_database();
	bool		installed = ev_progress_load(&progress);

	SpinLockAcquire(&me->mutex);
	me->installed = installed;
	SpinLockRelease(&me->mutex);
	if (installed && progress.wal_messages &&
		pg_atomic_read_u64(&me->wal_message_lsn) == 0)
		pg_atomic_write_u64(&me->wal_message_lsn, GetXLogInsertRecPtr());
	if (!installed)
		ev_slot_drop();			/* of an extension that was dropped */
	if (!installed || !ev_settings_database_allowed(database))
		ev_worker_leave();
	register_outboxes();
	if (progress.database != MyDatabaseId)
		rest(EV_STATE_STOPPED,
			 "database was copied; call eventuate_resume() if its messages are to be published from here");
	without_slot = (progress.timeline != 0 || progress.recovering) &&
		ev_slot_status() == EV_SLOT_MISSING;
	if (progress.paused)
		rest(EV_STATE_PAUSED, NULL);
	if (wal_level < WAL_LEVEL_LOGICAL)
		rest(EV_STATE_STOPPED,
			 "wal_level is not \"logical\"; set it in postgresql.conf and restart the server");
	if (!ev_settings_kafka_configured(database))
		rest(EV_STATE_NOT_CONFIGURED, NULL);
}

/* With eventuate.exactly_once: waits until records can be sent. */
static void
begin_transactions(void)
{
	EvInstant	start = ev_instant_now();

	ev_exactly_once_begin();
	while (!ev_exactly_once_ready())
	{
		if (ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		if (!show_trouble() &&
			ev_instant_passed(start, ev_instant_now(), TRANSACTIONS_GRACE))
			ev_worker_show(EV_STATE_STARTING, "waiting for Kafka's transactions");
		wait_turn();
	}
}

/* Makes the producer, and waits for a first answer of Kafka's. */
static void
connect_to_kafka(void)
{
	char	   *error = NULL;
	char	   *hint = NULL;
	struct rd_kafka_conf_s *conf;
	EvInstant	start;

	conf = ev_settings_kafka_conf(ev_worker_database(), &error, &hint);
	if (conf == NULL)
		rest(EV_STATE_NOT_CONFIGURED,
			 hint ? psprintf("%s (%s)", error, hint) : error);
	on_proc_exit(close_producer, (Datum) 0);
	if (!ev_producer_open(conf, &error))
	{
		retry_at_reload = true;
		rest(EV_STATE_STOPPED,
			 psprintf("could not create the Kafka producer: %s", error));
	}
	ev_worker_watch(ev_producer_fd());
	ev_delivery_init(me, wait_turn);
	connected = true;
	start = ev_instant_now();
	while (ev_producer_state() != EV_KAFKA_UP)
	{
		if (ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		if (!show_trouble() &&
			ev_instant_passed(start, ev_instant_now(), ANSWER_GRACE))
			ev_worker_show(EV_STATE_STARTING, "waiting for Kafka to answer");
		wait_turn();
	}
	begin_transactions();
}

/* Recovery's slot has to wait for a transaction: say so. */
static void
show_blocker(TransactionId blocker)
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
static void
show_standbys(void)
{
	const char *held_back = ev_horizon_explain(ev_instant_now());

	if (held_back != NULL)
		ev_worker_show(EV_STATE_RECOVERING, held_back);
}

/* What was recovered has no position: the slot begins where it ends. */
static void
settle_position(void)
{
	while (!ev_exactly_once_store(ev_slot_position()))
		wait_turn();
}

static const EvRecoveryHost recovery_host = {
	.sink = &ev_delivery_sink,
	.wait = wait_turn,
	.drain = drain,
	.settled = settle_position,
	.blocked = show_blocker,
	.held_back = show_standbys
};

/* Waits until the slot is free, or a slot can be had. */
static EvSlotStatus
wait_for_slot(void)
{
	EvSlotStatus status;
	char		reason[EV_ERROR_LENGTH];

	for (;;)
	{
		status = ev_slot_status();
		if (status == EV_SLOT_BUSY)
			snprintf(reason, sizeof(reason),
					 "replication slot \"%s\" is in use by another process",
					 ev_slot_name(MyDatabaseId));
		else if (status == EV_SLOT_MISSING && !ev_slot_available())
			snprintf(reason, sizeof(reason),
					 "all replication slots are in use; raise max_replication_slots to at least %d",
					 ev_slot_limit() + 1);
		else
			return status;
		ev_worker_show(EV_STATE_WAITING, reason);
		if (ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		wait_turn();
	}
}

/* Can the slot that is there be gone on with? */
static bool
slot_is_ours(EvSlotStatus status)
{
	TimeLineID	timeline;

	if (status != EV_SLOT_SYNCED && status != EV_SLOT_GOOD)
		return false;
	ev_horizon(&timeline);

	/* Made on another timeline its catalogs may be vacuumed away. */
	if (status == EV_SLOT_GOOD && progress.timeline != timeline)
		return false;
	return ev_slot_wal_is_there();
}

/* Publishes from the tables, and makes a slot. */
static void
recover(void)
{
	Datum		published = progress.snapshot;

	/* Recovery's from now on, whatever is loaded meanwhile. */
	progress.snapshot = (Datum) 0;
	ev_recovery_run(&recovery_host, published);
}

/* The slot is lost: what was in WAL alone is, too. */
static void
warn_of_loss(void)
{
	XLogRecPtr	known = me->published_lsn;
	XLogRecPtr	sent = pg_atomic_read_u64(&me->wal_message_lsn);

	if (!ev_wal_limit_irreplaceable(known))
		return;
	ereport(WARNING,
			(errmsg("messages that were written to WAL only may be lost"),
			 errdetail("They were sent with eventuate.send_mode = wal, between %X/%X and %X/%X.",
					   LSN_FORMAT_ARGS(known), LSN_FORMAT_ARGS(sent)),
			 errhint("Send again what consumers miss; see \"Messages in WAL only\" in the documentation.")));
	pg_atomic_write_u64(&me->wal_message_lsn, 0);
}

/* Opens the slot; where there is none that is good, makes one first. */
static void
find_slot(void)
{
	EvSlotStatus status = wait_for_slot();

	if (status == EV_SLOT_FOREIGN)
		rest(EV_STATE_STOPPED,
			 psprintf("replication slot \"%s\" was not made by eventuate; drop or rename it",
					  ev_slot_name(MyDatabaseId)));
	if (!slot_is_ours(status))
	{
		if (status != EV_SLOT_MISSING)
			ereport(LOG,
					(errmsg("replication slot \"%s\" cannot be used anymore",
							ev_slot_name(MyDatabaseId)),
					 errdetail("Messages are published from the tables, then from a new slot.")));
		warn_of_loss();
		ev_slot_drop();
		ev_worker_show(EV_STATE_RECOVERING, NULL);
		recover();
		if (ev_delivery_failure() != NULL)
			rest(EV_STATE_STOPPED, ev_delivery_failure());
	}
	ev_slot_open(ev_exactly_once_resume());
	ev_confirm_begin(me, ev_slot_confirmed());
	decoding = true;
	without_slot = false;
	pg_atomic_write_u32(&me->wal_is_kept, 1);
}

static void
run(void)
{
	ev_progress_watch();
	kafka_fingerprint = ev_settings_kafka_fingerprint(ev_worker_database());
	check_permission();
	connect_to_kafka();
	ev_decoder_set_sink(&ev_delivery_sink);
	find_slot();
	publish();
}

/* Entry point. */
void
ev_publisher_main(Datum main_arg)
{
	me = ev_worker_start();
	before_shmem_exit(release_slot, (Datum) 0);
	ev_worker_before_leaving(save_before_leaving);
	PG_TRY();
	{
		run();
	}
	PG_CATCH();
	{
		ev_worker_record_error();
		PG_RE_THROW();
	}
	PG_END_TRY();
}
