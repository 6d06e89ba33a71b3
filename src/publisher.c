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
 * The one rule: the slot is confirmed to the end of the newest transaction
 * such that it and every transaction before it is acknowledged by Kafka, or
 * had nothing for us.
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

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "decoder.h"
#include "delivery.h"
#include "producer.h"
#include "progress.h"
#include "publisher.h"
#include "recovery.h"
#include "settings.h"
#include "shared.h"
#include "slot.h"

/* All in ms. */
#define FALLBACK_POLL 100
#define NAP 2					/* under load, so that batches form */
#define SAVE_INTERVAL 100
#define IDLE_SAVE_INTERVAL 10000	/* nothing of ours was confirmed */
#define PROGRESS_INTERVAL 10000
#define CAUGHT_UP_GRACE 1000	/* this long behind is still "streaming" */
#define ANSWER_GRACE 1000		/* for Kafka's first answer, before we say so */
#define DRAIN_LIMIT 5000		/* for acknowledgements, before a restart */

/* How many records are read before the rest of the loop has its turn. */
#define READ_BATCH 512

static EvDatabase *me = NULL;
static EvProgress progress;
static char *kafka_fingerprint = NULL;

static WaitEventSet *all_events = NULL;
static WaitEventSet *nap_events = NULL; /* deaf to the latch */

static volatile sig_atomic_t shutdown_requested = false;

/* Is the slot open, so that there is something to confirm? */
static bool decoding = false;

/* Is a restart wanted, and from when on does nothing delay it? */
static bool restart_wanted = false;
static TimestampTz restart_deadline;

static TimestampTz caught_up_at = 0;

/* What is confirmed, what of it is saved, and when. */
static XLogRecPtr confirmed = InvalidXLogRecPtr;
static XLogRecPtr saved = InvalidXLogRecPtr;
static uint64 saved_acknowledged = 0;
static TimestampTz saved_at = 0;

static void turn(void);

/* ---------------------------------------------------------------------
 * Leaving
 * ---------------------------------------------------------------------
 */

/*
 * Ends a wait for a lock or in a library of PostgreSQL's as it would in a
 * session; where we get to look first, turn() leaves politely.
 */
static void
handle_sigterm(SIGNAL_ARGS)
{
	shutdown_requested = true;
	die(postgres_signal_arg);
}

static void
save_slot(TimestampTz now)
{
	if (confirmed > saved)
		ev_slot_save();
	saved = confirmed;
	saved_acknowledged = ev_delivery_acknowledged();
	saved_at = now;
}

/*
 * Ends the process.  What is acknowledged is confirmed and saved; what is not
 * is still in WAL, so nothing is flushed and nobody waits for Kafka.
 */
static void
leave(void)
{
	if (decoding)
		save_slot(0);
	proc_exit(0);
}

/* The same, and the launcher starts another at once. */
static void
leave_and_come_back(void)
{
	SpinLockAcquire(&me->mutex);
	me->restart_at = 0;
	me->failures = 0;
	SpinLockRelease(&me->mutex);
	leave();
}

static void
want_restart(void)
{
	if (restart_wanted)
		return;
	restart_wanted = true;
	restart_deadline = GetCurrentTimestamp() + DRAIN_LIMIT * INT64CONST(1000);
}

/*
 * Runs before shared memory is left: from now on nobody wakes us.  Whoever
 * waits for us to be gone wants the slot to be free as well.
 */
static void
release_entry(int code, Datum arg)
{
	ev_slot_release();
	SpinLockAcquire(&me->mutex);
	me->latch = NULL;
	me->pid = 0;
	if (code == 0)
		me->failures = 0;
	SpinLockRelease(&me->mutex);
	ev_shared_wake_launcher();
}

/* Runs last, when slot and process entry are free: it may take a while. */
static void
close_producer(int code, Datum arg)
{
	ev_producer_close();
}

/* The extension is gone, and with it everything of ours. */
static void
leave_for_good(void)
{
	decoding = false;
	ev_slot_drop();
	ereport(LOG,
			(errmsg("extension eventuate is not in database \"%s\" anymore",
					MyBgworkerEntry->bgw_extra)));
	SpinLockAcquire(&me->mutex);
	me->installed = false;
	SpinLockRelease(&me->mutex);
	proc_exit(0);
}

/* ---------------------------------------------------------------------
 * What others see
 * ---------------------------------------------------------------------
 */

/*
 * Shows a state, and why.  A line in the log when either is new; not for
 * falling behind and catching up, which is plain work.
 */
static void
show(EvState state, const char *reason)
{
	static EvState shown = EV_STATE_STARTING;
	static EvState logged = EV_STATE_STARTING;
	static char *shown_reason = NULL;
	bool		same_reason = reason == NULL ? shown_reason == NULL :
	shown_reason != NULL && strcmp(reason, shown_reason) == 0;

	if (state == shown && same_reason)
		return;
	if (state != EV_STATE_CATCHING_UP && (state != logged || reason != NULL))
	{
		ereport(LOG,
				(errmsg("publisher of database \"%s\" is now %s",
						MyBgworkerEntry->bgw_extra, ev_shared_state_name(state)),
				 reason ? errdetail_internal("%s", reason) : 0));
		logged = state;
	}
	if (!same_reason)
	{
		if (shown_reason != NULL)
			pfree(shown_reason);
		shown_reason = reason ? MemoryContextStrdup(TopMemoryContext, reason) : NULL;

		/* What is waited for is no error once it has come. */
		if (reason != NULL || shown == EV_STATE_STARTING || shown == EV_STATE_RECOVERING)
			ev_shared_set_error(me, reason);
	}
	shown = state;
	ev_shared_set_state(me, state);
}

/* The state while the slot is read. */
static void
show_streaming(TimestampTz now)
{
	if (ev_delivery_failure() != NULL)
		show(EV_STATE_STOPPED, ev_delivery_failure());
	else if (ev_producer_state() == EV_KAFKA_DOWN)
		show(EV_STATE_WAITING, ev_producer_error());
	else if (now - caught_up_at < CAUGHT_UP_GRACE * INT64CONST(1000))
		show(EV_STATE_STREAMING, NULL);
	else
		show(EV_STATE_CATCHING_UP, NULL);
}

static void
show_position(XLogRecPtr lsn, TimestampTz through)
{
	SpinLockAcquire(&me->mutex);
	me->published_lsn = lsn;
	if (through > me->published_through)
		me->published_through = through;
	SpinLockRelease(&me->mutex);
}

/* ---------------------------------------------------------------------
 * Confirming
 * ---------------------------------------------------------------------
 */

/*
 * The one rule.  With nothing in flight everything that was read is safe, so
 * that WAL which is not ours is set free too.
 */
static void
confirm(TimestampTz now)
{
	bool		idle = ev_delivery_idle();
	XLogRecPtr	safe = idle ? ev_slot_position() : ev_delivery_safe_lsn();

	if (safe > confirmed)
	{
		Assert(safe <= ev_slot_position());
		ev_slot_confirm(safe);
		confirmed = safe;
	}
	show_position(confirmed, idle && caught_up_at != 0 ? caught_up_at :
				  ev_delivery_safe_time());

	if (confirmed > saved &&
		now - saved_at >= (ev_delivery_acknowledged() != saved_acknowledged ?
						   SAVE_INTERVAL : IDLE_SAVE_INTERVAL) * INT64CONST(1000))
		save_slot(now);
}

/*
 * Stores now and then a snapshot of which every message is acknowledged: what
 * is known if the slot is ever lost.  An idle database writes nothing.
 */
static void
store_progress(TimestampTz now)
{
	static Datum snapshot = (Datum) 0;
	static XLogRecPtr behind = InvalidXLogRecPtr;
	static uint64 stored = 0;
	static uint64 taken = 0;
	static TimestampTz stored_at = 0;
	TimeLineID	timeline;

	if (snapshot == (Datum) 0)
	{
		if (ev_delivery_acknowledged() == stored ||
			now - stored_at < PROGRESS_INTERVAL * INT64CONST(1000))
			return;
		taken = ev_delivery_acknowledged();
		snapshot = ev_progress_current_snapshot();
		behind = GetXLogInsertRecPtr();
	}
	if (!ev_slot_reached(confirmed, behind))
		return;
	ev_slot_readable_end(&timeline);
	ev_progress_store(snapshot, timeline);
	pfree(DatumGetPointer(snapshot));
	snapshot = (Datum) 0;
	stored = taken;
	stored_at = now;
}

/* ---------------------------------------------------------------------
 * Waiting
 * ---------------------------------------------------------------------
 */

static void
create_wait_events(void)
{
	all_events = ev_create_wait_event_set_compat(3);
	AddWaitEventToSet(all_events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(all_events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	nap_events = ev_create_wait_event_set_compat(2);
	AddWaitEventToSet(nap_events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
}

static void
watch_producer(void)
{
	AddWaitEventToSet(all_events, WL_SOCKET_READABLE, ev_producer_fd(), NULL, NULL);
	AddWaitEventToSet(nap_events, WL_SOCKET_READABLE, ev_producer_fd(), NULL, NULL);
}

/* The one wait.  True: the latch was set. */
static bool
wait_for_events(WaitEventSet *events, long timeout_ms)
{
	WaitEvent	occurred[3];
	int			count = WaitEventSetWait(events, timeout_ms, occurred,
										 lengthof(occurred), PG_WAIT_EXTENSION);
	bool		latch = false;

	for (int i = 0; i < count; i++)
		latch = latch || (occurred[i].events & WL_LATCH_SET) != 0;
	if (latch)
		ResetLatch(MyLatch);
	return latch;
}

/* One turn for whoever has to wait in the middle of something. */
static void
wait_turn(void)
{
	turn();
	wait_for_events(all_events, FALLBACK_POLL);
	turn();
}

/*
 * Waits for a commit.  The flag goes up before the last look at WAL: a commit
 * after that look sees the flag and sets the latch.
 */
static void
sleep_until_commit(void)
{
	pg_atomic_exchange_u32(&me->sleeping, 1);
	if (ev_slot_caught_up() &&
		pg_atomic_read_u64(&me->commit_lsn) <= ev_slot_readable_end(NULL))
		wait_for_events(all_events, FALLBACK_POLL);
	pg_atomic_exchange_u32(&me->sleeping, 0);
}

/* Stays deaf to commits for a moment, so that several make one batch. */
static void
nap(void)
{
	TimestampTz end = GetCurrentTimestamp() + NAP * INT64CONST(1000);
	TimestampTz now;

	while ((now = GetCurrentTimestamp()) < end)
	{
		wait_for_events(nap_events, (end - now + 999) / 1000);
		ev_delivery_serve();
	}
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
	if (!ev_settings_database_allowed(MyBgworkerEntry->bgw_extra))
		want_restart();
	fingerprint = ev_settings_kafka_fingerprint(MyBgworkerEntry->bgw_extra);
	if (strcmp(fingerprint, kafka_fingerprint) != 0)
		want_restart();
	pfree(fingerprint);

	/* Whoever mends a setting expects a stopped publisher to try again. */
	if (ev_delivery_failure() != NULL)
		want_restart();
}

/* Does somebody want this process to go? */
static void
check_requests(void)
{
	if (shutdown_requested || me->holder != 0)
		leave();
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
		reload();
	if (pg_atomic_exchange_u32(&me->recheck, 0) != 0)
		want_restart();
	if (!IsTransactionState() && ev_progress_changed() &&
		!ev_progress_load(&progress))
		leave_for_good();
	if (restart_wanted && GetCurrentTimestamp() >= restart_deadline)
		leave_and_come_back();
}

/*
 * Everything but reading, once.  May run inside a decoding callback: reading
 * is then in the middle of a transaction, which is not in the way of any of
 * this.  May end the process.
 */
static void
turn(void)
{
	TimestampTz now;

	check_requests();
	ev_delivery_serve();
	if (ev_producer_state() == EV_KAFKA_FATAL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("the Kafka producer cannot go on: %s", ev_producer_error()),
				 errdetail("Publishing starts afresh behind the last confirmed position.")));
	now = GetCurrentTimestamp();
	if (decoding)
	{
		confirm(now);
		show_streaming(now);
		if (!IsTransactionState())
			store_progress(now);
	}
}

/* Waits, in a state of rest, for a request that ends it. */
static void
rest(EvState state, const char *reason)
{
	show(state, reason);
	for (;;)
	{
		check_requests();
		if (restart_wanted)
			leave_and_come_back();
		wait_for_events(all_events, FALLBACK_POLL);
	}
}

/* Waits until everything sent is acknowledged. */
static void
drain(void)
{
	while (!ev_delivery_idle())
	{
		if (restart_wanted && (ev_delivery_failure() != NULL ||
							   ev_producer_state() == EV_KAFKA_DOWN))
			leave_and_come_back();
		if (ev_delivery_failure() != NULL)
			show(EV_STATE_STOPPED, ev_delivery_failure());
		else if (ev_producer_state() == EV_KAFKA_DOWN)
			show(EV_STATE_WAITING, ev_producer_error());
		wait_turn();
	}
}

/* Asynchronous commits are not flushed when they wake us: we do that. */
static void
flush_commits(void)
{
	XLogRecPtr	lsn = pg_atomic_read_u64(&me->commit_lsn);

	if (lsn > ev_slot_readable_end(NULL))
		XLogFlush(lsn);
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
 * Nothing more to read.  If messages come one upon the other, a nap makes
 * batches of them; if not, each is worth waking up for at once.
 */
static void
wait_for_more(void)
{
	static uint64 seen = 0;
	static TimestampTz seen_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool		any = ev_delivery_sent() != seen;
	bool		crowded = any && now - seen_at < NAP * INT64CONST(1000);

	caught_up_at = now;
	seen = ev_delivery_sent();
	if (crowded)
		nap();
	if (any)
		seen_at = GetCurrentTimestamp();
	if (!crowded)
		sleep_until_commit();
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
		if (restart_wanted)
		{
			drain();
			leave_and_come_back();
		}
		if (ev_delivery_failure() != NULL)
		{
			wait_for_events(all_events, FALLBACK_POLL);
			continue;
		}
		flush_commits();
		if (!read_some())
			wait_for_more();
		else if (ev_delivery_full())
			wait_for_events(all_events, FALLBACK_POLL);
	}
}

/* ---------------------------------------------------------------------
 * Starting
 * ---------------------------------------------------------------------
 */

/*
 * What ALTER ROLE and ALTER DATABASE may have set must not reach in here; the
 * same settings as autovacuum's workers override, and a bound on locks.
 */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"statement_timeout", "0"},
		{"lock_timeout", "5s"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		{"zero_damaged_pages", "off"},
		{"row_security", "off"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
}

/* Takes the database's entry; false: another publisher has it. */
static bool
claim_entry(Oid datid)
{
	bool		claimed = false;

	me = ev_shared_get(datid);
	if (me == NULL)
		return false;
	SpinLockAcquire(&me->mutex);
	if (me->pid == 0)
	{
		me->pid = MyProcPid;
		me->latch = MyLatch;
		claimed = true;
	}
	SpinLockRelease(&me->mutex);
	if (claimed)
		before_shmem_exit(release_entry, (Datum) 0);
	return claimed;
}

/* Comes back only if there is something to publish, and to where. */
static void
check_permission(void)
{
	const char *database = MyBgworkerEntry->bgw_extra;
	bool		installed = ev_progress_load(&progress);

	SpinLockAcquire(&me->mutex);
	me->installed = installed;
	SpinLockRelease(&me->mutex);
	if (!installed)
		leave();
	if (progress.database != MyDatabaseId)
		rest(EV_STATE_STOPPED,
			 "database was copied; call eventuate_resume() if its messages are to be published from here");
	if (progress.paused)
		rest(EV_STATE_PAUSED, NULL);
	if (wal_level < WAL_LEVEL_LOGICAL)
		rest(EV_STATE_STOPPED,
			 "wal_level is not \"logical\"; set it in postgresql.conf and restart the server");
	if (!ev_settings_kafka_configured(database))
		rest(EV_STATE_NOT_CONFIGURED, NULL);
}

/* Makes the producer, and waits for a first answer of Kafka's. */
static void
connect_to_kafka(void)
{
	char	   *error = NULL;
	char	   *hint = NULL;
	struct rd_kafka_conf_s *conf;
	TimestampTz start;

	conf = ev_settings_kafka_conf(MyBgworkerEntry->bgw_extra, &error, &hint);
	if (conf == NULL)
		rest(EV_STATE_NOT_CONFIGURED,
			 hint ? psprintf("%s (%s)", error, hint) : error);
	on_proc_exit(close_producer, (Datum) 0);
	ev_producer_open(conf);
	watch_producer();
	ev_delivery_init(me, wait_turn);
	start = GetCurrentTimestamp();
	while (ev_producer_state() != EV_KAFKA_UP)
	{
		if (restart_wanted)
			leave_and_come_back();
		if (ev_producer_state() == EV_KAFKA_DOWN)
			show(EV_STATE_WAITING, ev_producer_error());
		else if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), ANSWER_GRACE))
			show(EV_STATE_STARTING, "waiting for Kafka to answer");
		wait_turn();
	}
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
	show(EV_STATE_RECOVERING, reason);
}

static const EvRecoveryHost recovery_host = {
	.sink = &ev_delivery_sink,
	.wait = wait_turn,
	.drain = drain,
	.blocked = show_blocker
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
					 max_replication_slots + 1);
		else
			return status;
		show(EV_STATE_WAITING, reason);
		if (restart_wanted)
			leave_and_come_back();
		wait_turn();
	}
}

/* Can the slot that is there be gone on with? */
static bool
slot_is_ours(EvSlotStatus status)
{
	TimeLineID	timeline;

	if (status == EV_SLOT_SYNCED)
		return true;
	ev_slot_readable_end(&timeline);

	/* Made on another timeline its catalogs may be vacuumed away. */
	return status == EV_SLOT_GOOD && progress.timeline == timeline;
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
		ev_slot_drop();
		show(EV_STATE_RECOVERING, NULL);
		ev_recovery_run(&recovery_host, progress.snapshot);
		if (ev_delivery_failure() != NULL)
			rest(EV_STATE_STOPPED, ev_delivery_failure());
	}
	ev_slot_open();
	confirmed = saved = MyReplicationSlot->data.confirmed_flush;
	decoding = true;
}

static void
run(void)
{
	override_settings();
	create_wait_events();
	ev_progress_watch();
	kafka_fingerprint = ev_settings_kafka_fingerprint(MyBgworkerEntry->bgw_extra);
	check_permission();
	connect_to_kafka();
	ev_decoder_set_sink(&ev_delivery_sink);
	find_slot();
	publish();
}

/* Shows an error that ends the process, for the time until the next start. */
static void
record_error(void)
{
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
	ErrorData  *error = CopyErrorData();

	MemoryContextSwitchTo(old_context);
	ev_shared_set_error(me, error->hint ?
						psprintf("%s (%s)", error->message, error->hint) :
						error->message);
	ev_shared_set_state(me, EV_STATE_STARTING);
}

/* Entry point.  The argument is the database's oid, bgw_extra its name. */
void
ev_publisher_main(Datum main_arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_sigterm);
	BackgroundWorkerUnblockSignals();

	if (!claim_entry(DatumGetObjectId(main_arg)))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(main_arg),
											  InvalidOid, 0);
	PG_TRY();
	{
		run();
	}
	PG_CATCH();
	{
		record_error();
		PG_RE_THROW();
	}
	PG_END_TRY();
}
