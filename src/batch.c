/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  The records of one transaction of Kafka's.
 *
 * With eventuate.exactly_once a record counts only once the transaction that
 * it is in has been committed, together with the position in WAL that it
 * brings us to.  Here is decided when: as soon as nothing more is to be sent
 * for now, and under load after a while, since a transaction costs Kafka the
 * same with one record as with thousands.
 *
 * A batch is open, closed (nothing more is sent), then being committed, for
 * which its records are awaited; or broken and being aborted, after which its
 * records have to be sent again.  Only one record refused breaks it.
 *
 * Promises: ev_batch_committed() is a position that Kafka keeps.
 *
 * A restart begins with an empty batch behind the position that Kafka keeps.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "batch.h"
#include "producer.h"
#include "settings.h"

/* Under load a batch ends after so many records, or ms. */
#define MAX_RECORDS 50000
#define MAX_AGE 100

/* In ms: for how long Kafka is kept ready for a first record. */
#define READY_FOR 200

/*
 * In ms: for how long Kafka, where it is there, may be at one thing.  By then
 * it has given the transaction up itself.
 */
#define PATIENCE 30000

static uint64 count = 0;
static size_t size = 0;			/* in bytes */
static EvInstant since = 0;		/* of its first record */
static bool joined = false;		/* may Kafka be sent its records? */
static EvInstant ready_at = 0;	/* and since when is Kafka ready */
static bool closed = false;
static bool broken = false;

/* What Kafka is asked for. */
static bool committing = false;
static bool aborting = false;
static EvInstant away_at = 0;	/* when Kafka was last seen to be */

static XLogRecPtr asked = InvalidXLogRecPtr;
static XLogRecPtr committed = InvalidXLogRecPtr;
static EvInstant committed_at = 0;

/* Are there batches at all? */
bool
ev_batch_on(void)
{
	return ev_producer_is_transactional();
}

/* May one more record be sent, if a batch is to have so many at most? */
bool
ev_batch_takes(uint64 limit)
{
	return !closed && !broken && !committing && !aborting &&
		count < Min(limit, MAX_RECORDS) && size < (size_t) ev_queue_size * 1024 &&
		ev_producer_transaction_state() == EV_TRANSACTION_OPEN;
}

static void
join(void)
{
	ev_producer_join();
	joined = true;
	ready_at = 0;
}

/*
 * Is Kafka ready for the first record?  False: it was asked; to be called
 * again and again while there is a record to send.
 */
bool
ev_batch_join(void)
{
	if (!joined && ev_batch_takes(1))
		join();
	return joined && ev_producer_transaction_state() == EV_TRANSACTION_OPEN;
}

/* A record was sent, which takes so many bytes with its headers. */
void
ev_batch_add(size_t bytes)
{
	if (count++ == 0)
		since = ev_instant_now();
	size += bytes;
}

uint64
ev_batch_count(void)
{
	return count;
}

/* Is it open and empty? */
bool
ev_batch_is_new(void)
{
	return count == 0 && ev_batch_takes(1);
}

static bool
is_large(EvInstant now)
{
	return count >= MAX_RECORDS || size >= (size_t) ev_queue_size * 1024 ||
		ev_instant_passed(since, now, MAX_AGE);
}

/* Should it be closed, though more is to be sent? */
bool
ev_batch_ripe(EvInstant now, uint64 limit)
{
	return count > 0 && !closed && !broken &&
		(count >= limit || is_large(now));
}

/* Nothing is sent until it has been committed, if it has any record. */
void
ev_batch_close(void)
{
	if (count > 0)
		closed = true;
}

/* Is it closed, and can be committed? */
bool
ev_batch_is_closed(void)
{
	return closed && !broken && !committing && !aborting &&
		ev_producer_transaction_state() == EV_TRANSACTION_OPEN;
}

/* Kafka has refused one of its records, or nobody knows. */
void
ev_batch_break(void)
{
	if (broken)
		return;
	broken = true;
	ev_producer_set_sound(false);
}

/*
 * Commits it, with the position if that is known: as soon as every record is
 * reported, if none is refused.  There may be none, for the position's sake.
 */
void
ev_batch_commit(const EvPosition *position)
{
	EvStoredPosition stored;

	Assert(!broken && !committing && !aborting);
	ev_position_write(position, &stored);
	asked = position->lsn;
	ev_producer_commit(&stored);
	closed = committing = true;
}

static EvBatchNews
begin_anew(EvBatchNews news)
{
	if (broken)
		ev_producer_set_sound(true);
	count = size = 0;
	since = 0;
	joined = closed = broken = committing = aborting = false;
	return news;
}

/*
 * Where there were records, more are likely to come soon, or are waiting: so
 * Kafka is made ready for them.  In librdkafka they would wait for longer.
 */
static EvBatchNews
take_commit(void)
{
	bool		any = count > 0;

	if (!XLogRecPtrIsInvalid(asked))
		committed = asked;
	committed_at = ev_instant_now();
	(void) begin_anew(EV_BATCH_COMMITTED);
	if (any)
		join();
	return EV_BATCH_COMMITTED;
}

/* A transaction must not be open for long if no record comes. */
static void
end_if_empty(void)
{
	EvInstant	now;

	if (!joined || count > 0)
		return;
	now = ev_instant_now();
	if (ready_at == 0)
		ready_at = now;
	if (!ev_instant_passed(ready_at, now, READY_FOR))
		return;
	asked = InvalidXLogRecPtr;
	ev_producer_commit(NULL);
	committing = true;
}

/*
 * Kafka is at what it was asked for.  librdkafka has been seen to wait for ever
 * there, for a coordinator that was back, where Kafka had been away for longer
 * than a transaction lasts.  Records take as long as they take.
 */
static EvBatchNews
wait_for_kafka(EvInstant now, bool all_reported)
{
	if (ev_producer_state() != EV_KAFKA_UP || !all_reported)
		away_at = now;
	if (ev_instant_passed(Max(away_at, ev_producer_transaction_asked_at()), now, PATIENCE))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("the Kafka producer cannot go on: Kafka has not answered for %d s in the middle of a transaction",
						PATIENCE / 1000),
				 errdetail("Publishing starts afresh behind the last position that Kafka keeps.")));
	return EV_BATCH_NO_NEWS;
}

static void
abort_batch(const char *reason)
{
	ereport(LOG,
			(errmsg("a transaction of Kafka's is aborted and tried again: %s", reason),
			 errdetail_plural("It has %llu record.", "It has %llu records.",
							  (unsigned long) count, (unsigned long long) count)));
	ev_producer_abort();
	aborting = true;
}

/*
 * What has become of what Kafka was asked for?  An abort is over when all
 * records are reported as well.  Throws if this producer can go on no more.
 */
EvBatchNews
ev_batch_step(bool all_reported)
{
	EvTransactionState state = ev_producer_transaction_state();

	if (state == EV_TRANSACTION_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("the Kafka producer cannot go on: %s",
						ev_producer_transaction_error()),
				 errdetail("Publishing starts afresh behind the last position that Kafka keeps.")));
	if (state == EV_TRANSACTION_BROKEN)
	{
		broken = true;
		committing = false;
	}
	if (state == EV_TRANSACTION_BUSY)
		return wait_for_kafka(ev_instant_now(), all_reported);
	if (committing)
		return take_commit();
	if (aborting && !all_reported)
		return EV_BATCH_NO_NEWS;
	if (aborting)
		return begin_anew(EV_BATCH_ABORTED);
	if (broken)
		abort_batch(state == EV_TRANSACTION_BROKEN ?
					ev_producer_transaction_error() : "it lacks a record");
	else
		end_if_empty();
	return EV_BATCH_NO_NEWS;
}

/* Since when records wait for their commit; 0: there are none. */
EvInstant
ev_batch_since(void)
{
	return since;
}

/* Kafka keeps this position, or the slot is confirmed to it. */
void
ev_batch_resume(XLogRecPtr lsn)
{
	committed = lsn;
}

/* The newest position that Kafka is known to keep; invalid: none. */
XLogRecPtr
ev_batch_committed(void)
{
	return committed;
}

/* When it was last committed; 0: not yet. */
EvInstant
ev_batch_committed_at(void)
{
	return committed_at;
}
