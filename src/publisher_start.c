/*-------------------------------------------------------------------------
 *
 * publisher_start.c
 *	  From a new process to a publisher that reads its slot.
 *
 * Three steps: is there anything to publish from here, and may it be; does
 * Kafka answer; is there a slot to go on with, or must one be made, with
 * recovery from the tables before.  Each waits as long as it takes, in turns,
 * and shows for what; where a person is needed it rests, until a request
 * restarts the process.
 *
 * A restart begins with the first step.
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
#include "storage/ipc.h"

#include "confirm.h"
#include "decoder.h"
#include "delivery.h"
#include "exactly_once.h"
#include "horizon.h"
#include "outbox.h"
#include "producer.h"
#include "progress.h"
#include "publisher_show.h"
#include "publisher_start.h"
#include "publisher_turn.h"
#include "recovery.h"
#include "settings.h"
#include "slot.h"
#include "slot_list.h"
#include "slot_wal.h"
#include "wal_limit.h"
#include "worker.h"

/* All in ms. */
#define ANSWER_GRACE 1000		/* for Kafka's first answer, before we say so */
#define TRANSACTIONS_GRACE 2000 /* for its end of a predecessor's transaction */

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
	bool		installed = ev_progress_load(&ev_publisher.progress);

	SpinLockAcquire(&ev_publisher.database->mutex);
	ev_publisher.database->installed = installed;
	SpinLockRelease(&ev_publisher.database->mutex);
	if (installed && ev_publisher.progress.wal_messages &&
		pg_atomic_read_u64(&ev_publisher.database->wal_message_lsn) == 0)
		pg_atomic_write_u64(&ev_publisher.database->wal_message_lsn, GetXLogInsertRecPtr());
	if (!installed)
		ev_slot_drop();			/* of an extension that was dropped */
	if (!installed || !ev_settings_database_allowed(database))
		ev_worker_leave();
	register_outboxes();
	if (ev_publisher.progress.database != MyDatabaseId)
		ev_publisher_rest(EV_STATE_STOPPED,
						  "database was copied; call eventuate_resume() if its messages are to be published from here");
	ev_publisher_show_slot(ev_slot_status() != EV_SLOT_MISSING ||
						   (ev_publisher.progress.timeline == 0 &&
							!ev_publisher.progress.recovering));
	if (ev_publisher.progress.paused)
		ev_publisher_rest(EV_STATE_PAUSED, NULL);
	if (wal_level < WAL_LEVEL_LOGICAL)
		ev_publisher_rest(EV_STATE_STOPPED,
						  "wal_level is not \"logical\"; set it in postgresql.conf and restart the server");
	if (!ev_settings_kafka_configured(database))
		ev_publisher_rest(EV_STATE_NOT_CONFIGURED, NULL);
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

/*
 * Waits until Kafka has done something.  If that takes longer than "grace", in
 * ms, and there is no trouble to show, shows what is waited for.
 */
static void
wait_for_kafka(bool (*is_done) (void), int grace, const char *what)
{
	EvInstant	start = ev_instant_now();

	while (!is_done())
	{
		if (ev_worker_restart_wanted())
			ev_worker_leave_and_come_back();
		if (!ev_publisher_show_trouble() &&
			ev_instant_passed(start, ev_instant_now(), grace))
			ev_worker_show(EV_STATE_STARTING, what);
		ev_publisher_wait_turn();
	}
}

static bool
kafka_has_answered(void)
{
	return ev_producer_state() == EV_KAFKA_UP;
}

/* Makes the producer, and waits until records can be sent. */
static void
connect_to_kafka(void)
{
	char	   *error = NULL;
	char	   *hint = NULL;
	struct rd_kafka_conf_s *conf;

	conf = ev_settings_kafka_conf(ev_worker_database(), &error, &hint);
	if (conf == NULL)
		ev_publisher_rest(EV_STATE_NOT_CONFIGURED,
						  hint ? psprintf("%s (%s)", error, hint) : error);
	on_proc_exit(close_producer, (Datum) 0);
	if (!ev_producer_open(conf, &error))
	{
		ev_publisher.retry_at_reload = true;
		ev_publisher_rest(EV_STATE_STOPPED,
						  psprintf("could not create the Kafka producer: %s", error));
	}
	ev_worker_watch(ev_producer_fd());
	ev_delivery_init(ev_publisher.database, ev_publisher_wait_turn_for);
	ev_publisher.connected = true;
	wait_for_kafka(kafka_has_answered, ANSWER_GRACE, "waiting for Kafka to answer");
	ev_exactly_once_begin();
	wait_for_kafka(ev_exactly_once_ready, TRANSACTIONS_GRACE, "waiting for Kafka's transactions");
}

/*
 * Somebody may want something else to be published, or nothing: then no round
 * is begun.
 */
static void
begin_round(void)
{
	ev_publisher_turn();
	if (ev_worker_restart_wanted())
		ev_worker_leave_and_come_back();
	ev_publisher.round_began_at = ev_instant_now();
}

/* What was recovered has no position: the slot begins where it ends. */
static void
settle_position(void)
{
	while (!ev_exactly_once_store(ev_slot_position()))
		ev_publisher_wait_turn();
}

static const EvRecoveryHost recovery_host = {
	.sink = &ev_delivery_sink,
	.wait = ev_publisher_wait_turn,
	.begin = begin_round,
	.drain = ev_publisher_drain,
	.settled = settle_position,
	.blocked = ev_publisher_show_blocker,
	.held_back = ev_publisher_show_standbys
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
		ev_publisher_wait_turn();
	}
}

/*
 * Was the slot made on this timeline?  On another one its catalogs may be
 * vacuumed away.  pg_upgrade begins with the first timeline again: where we
 * have been on a later one, the slot is one that it has made.
 */
static bool
is_of_timeline(TimeLineID timeline)
{
	TimeLineID	made_on = ev_publisher.progress.timeline;

	return made_on == timeline || (timeline == 1 && made_on > 1);
}

/* Can the slot that is there be gone on with? */
static bool
slot_is_ours(EvSlotStatus status)
{
	TimeLineID	timeline;

	if ((status != EV_SLOT_SYNCED && status != EV_SLOT_GOOD) ||
		pg_atomic_read_u32(&ev_publisher.database->slot_unreadable) != 0)
		return false;
	ev_horizon(&timeline);
	if (status == EV_SLOT_GOOD && !is_of_timeline(timeline))
		return false;
	return ev_slot_wal_is_there();
}

/* Publishes from the tables, and makes a slot. */
static void
recover(void)
{
	Datum		published = ev_publisher.progress.snapshot;

	/* Recovery's from now on, whatever is loaded meanwhile. */
	ev_publisher.progress.snapshot = (Datum) 0;
	ev_recovery_run(&recovery_host, published);
}

/* The slot is lost: what was in WAL alone is, too. */
static void
warn_of_loss(void)
{
	XLogRecPtr	known = ev_publisher.database->published_lsn;
	XLogRecPtr	sent = pg_atomic_read_u64(&ev_publisher.database->wal_message_lsn);

	if (!ev_wal_limit_irreplaceable(known))
		return;
	ereport(WARNING,
			(errmsg("messages that were written to WAL only may be lost"),
			 errdetail("They were sent with eventuate.send_mode = wal, between %X/%X and %X/%X.",
					   LSN_FORMAT_ARGS(known), LSN_FORMAT_ARGS(sent)),
			 errhint("Send again what consumers miss; see \"Messages in WAL only\" in the documentation.")));
	pg_atomic_write_u64(&ev_publisher.database->wal_message_lsn, 0);
}

/* Opens the slot; where there is none that is good, makes one first. */
static void
find_slot(void)
{
	EvSlotStatus status = wait_for_slot();

	if (status == EV_SLOT_FOREIGN)
		ev_publisher_rest(EV_STATE_STOPPED,
						  psprintf("replication slot \"%s\" was not made by eventuate; drop or rename it",
								   ev_slot_name(MyDatabaseId)));
	if (!slot_is_ours(status))
	{
		if (status != EV_SLOT_MISSING)
			ereport(LOG,
					(errmsg("replication slot \"%s\" cannot be used anymore",
							ev_slot_name(MyDatabaseId)),
					 errdetail("Messages are published from the tables, then from a new slot.")));
		pg_atomic_fetch_add_u32(&ev_publisher.database->slots_lost, 1);
		warn_of_loss();
		ev_slot_drop();
		pg_atomic_write_u32(&ev_publisher.database->slot_unreadable, 0);
		ev_worker_show(EV_STATE_RECOVERING, NULL);
		recover();
		if (ev_delivery_failure() != NULL)
			ev_publisher_rest(EV_STATE_STOPPED, ev_delivery_failure());
	}
	ev_slot_open(ev_exactly_once_resume());
	ev_confirm_begin(ev_publisher.database, ev_slot_confirmed());
	ev_publisher.decoding = true;
	ev_publisher_show_slot(true);
	pg_atomic_write_u32(&ev_publisher.database->wal_is_kept, 1);
}

/* Comes back once the slot is open.  What is decoded goes to delivery. */
void
ev_publisher_start(void)
{
	check_permission();
	connect_to_kafka();
	ev_decoder_set_sink(&ev_delivery_sink);
	find_slot();
}
