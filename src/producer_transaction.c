/*-------------------------------------------------------------------------
 *
 * producer_transaction.c
 *	  Kafka's transactions: records and a position, both or neither.
 *
 * librdkafka's calls for transactions block, and may not be given little time:
 * a commit that is polled aborts the process.  So they are made, one at a
 * time and without a limit, by a thread of our own.  The thread blocks all
 * signals and calls nothing of PostgreSQL's; it shares one struct with the
 * other threads, behind a mutex, and writes a byte into the producer's pipe
 * when it is done.  The main thread never waits for it.
 *
 * With a commit goes the position that it brings us to (producer_position.c).
 * It is read after the predecessor was fenced off: so none is read that is
 * about to be replaced.
 *
 * Promises: outside of BUSY there is an open transaction, or an error.  A
 * commit that is reported as OPEN has happened, with its position; one that
 * is BROKEN has not, or its abort will say so.  What is not known is FAILED,
 * and a new producer learns the truth from the position.
 *
 * At exit a thread that is inside of librdkafka stays there, and the process
 * ends around it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "producer.h"
#include "producer_group.h"
#include "producer_position.h"
#include "producer_transaction.h"

/* In ms, before what Kafka had no time for is tried again. */
#define RETRY_PAUSE 10

#define ERROR_SIZE 512
#define GROUP_SIZE 256

typedef enum Request
{
	REQUEST_NONE,
	REQUEST_START,
	REQUEST_JOIN,
	REQUEST_COMMIT,
	REQUEST_ABORT,
	REQUEST_QUIT
} Request;

/* All that both threads know. */
static struct
{
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	Request		request;		/* of the main thread; the thread takes it */
	bool		sound;			/* may the transaction be committed? */
	EvTransactionState state;
	bool		ended;			/* the thread has */
	char		error[ERROR_SIZE];
	EvStoredPosition position;	/* to be stored, or what was read */
}			shared = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};

/* Set before the thread begins, constant while it runs. */
static rd_kafka_t *rk = NULL;	/* producer.c's */
static rd_kafka_conf_t *reader_conf = NULL;
static int	wake_fd = -1;
static char group[GROUP_SIZE];

static pthread_t thread;
static bool thread_runs = false;

/* The main thread's.  Only what is BUSY becomes something else by itself. */
static EvInstant asked_at = 0;
static EvTransactionState seen = EV_TRANSACTION_BUSY;

/* ---------------------------------------------------------------------
 * In the thread: nothing of PostgreSQL's from here on.
 * ---------------------------------------------------------------------
 */

/* What Kafka keeps, and what it will if the transaction is committed. */
static EvStoredPosition kept;
static EvStoredPosition staged;

/* What became of a request. */
typedef struct Outcome
{
	EvTransactionState state;
	char		error[ERROR_SIZE];
} Outcome;

/* Notes a failure, if it is one; true if not.  Frees the error. */
static bool
succeeded(Outcome *outcome, const char *what, rd_kafka_error_t *error)
{
	if (error == NULL)
		return true;
	outcome->state = rd_kafka_error_txn_requires_abort(error) ?
		EV_TRANSACTION_BROKEN : EV_TRANSACTION_FAILED;
	snprintf(outcome->error, sizeof(outcome->error), "%s: %s (%s)", what,
			 rd_kafka_error_string(error), rd_kafka_error_name(error));
	rd_kafka_error_destroy(error);
	return false;
}

/* Is an error no more than impatience?  Then it is freed, and we pause. */
static bool
try_again(rd_kafka_error_t *error)
{
	struct timespec pause = {0, RETRY_PAUSE * 1000000L};

	if (error == NULL || !rd_kafka_error_is_retriable(error))
		return false;
	rd_kafka_error_destroy(error);
	nanosleep(&pause, NULL);
	return true;
}

/* After that a transaction is open. */
static void
begin(Outcome *outcome)
{
	memset(&staged, 0, sizeof(staged));
	if (succeeded(outcome, "could not begin a transaction",
				  rd_kafka_begin_transaction(rk)))
		outcome->state = EV_TRANSACTION_OPEN;
}

static void
start(Outcome *outcome, EvStoredPosition *position)
{
	rd_kafka_error_t *error;

	do
		error = rd_kafka_init_transactions(rk, -1);
	while (try_again(error));
	if (!succeeded(outcome, "could not begin with transactions", error))
	{
		outcome->state = EV_TRANSACTION_FAILED;
		return;
	}
	ev_producer_position_prepare(rk);
	if (ev_producer_position_read(reader_conf, position, outcome->error,
								  sizeof(outcome->error)))
	{
		kept = *position;
		begin(outcome);
	}
	else
		outcome->state = EV_TRANSACTION_FAILED;
}

/* Makes the position, if there is one, part of the transaction. */
static bool
store_position(Outcome *outcome, const EvStoredPosition *position)
{
	rd_kafka_error_t *error;

	if (position->lsn == InvalidXLogRecPtr ||
		memcmp(position, &staged, sizeof(staged)) == 0)
		return true;
	do
		error = ev_producer_position_send(rk, group, position);
	while (try_again(error));
	if (!succeeded(outcome, "could not store the position", error))
		return false;
	staged = *position;
	return true;
}

static void
join(Outcome *outcome)
{
	if (store_position(outcome, &kept))
		outcome->state = EV_TRANSACTION_OPEN;
}

/* May the transaction be committed? */
static bool
is_sound(Outcome *outcome)
{
	bool		sound;

	pthread_mutex_lock(&shared.mutex);
	sound = shared.sound;
	pthread_mutex_unlock(&shared.mutex);
	if (sound)
		return true;
	outcome->state = EV_TRANSACTION_BROKEN;
	snprintf(outcome->error, sizeof(outcome->error), "it lacks a record");
	return false;
}

/*
 * The records are awaited, and no others to go with them; by then each report
 * has been looked at (producer_tally.c).  We know better than librdkafka, which
 * takes for stored what a broker only says it has already.
 */
static void
commit(Outcome *outcome, const EvStoredPosition *position)
{
	rd_kafka_error_t *error;

	if (!store_position(outcome, position))
		return;
	rd_kafka_flush(rk, -1);
	if (!is_sound(outcome))
		return;
	do
		error = rd_kafka_commit_transaction(rk, -1);
	while (try_again(error));
	if (!succeeded(outcome, "could not commit a transaction", error))
		return;
	if (staged.lsn != InvalidXLogRecPtr)
		kept = staged;
	begin(outcome);
}

static void
abort_and_begin(Outcome *outcome)
{
	rd_kafka_error_t *error;

	do
		error = rd_kafka_abort_transaction(rk, -1);
	while (try_again(error));
	if (succeeded(outcome, "could not abort a transaction", error))
		begin(outcome);
	else
		outcome->state = EV_TRANSACTION_FAILED;
}

/* The thread. */
static void *
serve_requests(void *argument)
{
	Request		request;
	Outcome		outcome;
	EvStoredPosition position;

	pthread_mutex_lock(&shared.mutex);
	for (;;)
	{
		while (shared.request == REQUEST_NONE)
			pthread_cond_wait(&shared.condition, &shared.mutex);
		request = shared.request;
		position = shared.position;
		if (request == REQUEST_QUIT)
			break;
		pthread_mutex_unlock(&shared.mutex);

		memset(&outcome, 0, sizeof(outcome));
		if (request == REQUEST_START)
			start(&outcome, &position);
		else if (request == REQUEST_JOIN)
			join(&outcome);
		else if (request == REQUEST_COMMIT)
			commit(&outcome, &position);
		else
			abort_and_begin(&outcome);

		pthread_mutex_lock(&shared.mutex);
		if (shared.request == request)
			shared.request = REQUEST_NONE;
		shared.position = position;
		shared.state = outcome.state;
		memcpy(shared.error, outcome.error, sizeof(shared.error));
		/* A pipe that is full wakes as well. */
		if (write(wake_fd, "t", 1) < 0)
			continue;
	}
	shared.ended = true;
	pthread_mutex_unlock(&shared.mutex);
	return NULL;
}

/* ---------------------------------------------------------------------
 * In any thread, librdkafka's as well
 * ---------------------------------------------------------------------
 */

/*
 * May the transaction be committed?  Not if one of its records is not there, or
 * nobody knows: to be said while its delivery report is looked at, and before
 * the first record of the next one.
 */
void
ev_producer_set_sound(bool sound)
{
	pthread_mutex_lock(&shared.mutex);
	shared.sound = sound;
	pthread_mutex_unlock(&shared.mutex);
}

/* ---------------------------------------------------------------------
 * In the main thread
 * ---------------------------------------------------------------------
 */

/*
 * From now on the producer has transactions; "conf" is one for a consumer by
 * the same properties, and ours.  False: no thread could be started.
 */
bool
ev_producer_transactions_open(struct rd_kafka_s *producer,
							  struct rd_kafka_conf_s *conf, int fd)
{
	size_t		size = sizeof(group);
	sigset_t	all;
	sigset_t	previous;
	int			failed;

	Assert(!thread_runs);
	if (rd_kafka_conf_get(conf, "transactional.id", group, &size) != RD_KAFKA_CONF_OK)
		elog(ERROR, "the producer has no transactional.id");
	rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
	rd_kafka_conf_set(conf, "isolation.level", "read_committed", NULL, 0);
	rk = producer;
	asked_at = ev_instant_now();
	reader_conf = conf;
	wake_fd = fd;
	shared.state = seen = EV_TRANSACTION_BUSY;
	shared.request = REQUEST_NONE;
	shared.sound = true;
	shared.ended = false;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &previous);
	failed = pthread_create(&thread, NULL, serve_requests, NULL);
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	thread_runs = failed == 0;
	if (failed)
		rk = NULL;
	return !failed;
}

/*
 * The thread is to end; false: it is inside of librdkafka, and the producer
 * must not be touched anymore.
 */
bool
ev_producer_transactions_close(void)
{
	bool		busy;

	if (!thread_runs)
		return true;
	pthread_mutex_lock(&shared.mutex);
	busy = shared.request != REQUEST_NONE;
	shared.request = REQUEST_QUIT;
	pthread_cond_signal(&shared.condition);
	pthread_mutex_unlock(&shared.mutex);
	if (busy)
		return false;
	pthread_join(thread, NULL);
	thread_runs = false;
	rd_kafka_conf_destroy(reader_conf);
	rk = NULL;
	return true;
}

/* Does this process publish in transactions of Kafka's? */
bool
ev_producer_is_transactional(void)
{
	return rk != NULL;
}

static void
ask(Request request, const EvStoredPosition *position)
{
	static const EvStoredPosition nowhere = {InvalidXLogRecPtr, ""};

	asked_at = ev_instant_now();
	pthread_mutex_lock(&shared.mutex);
	Assert(shared.request == REQUEST_NONE);
	shared.position = position == NULL ? nowhere : *position;
	shared.request = request;
	shared.state = seen = EV_TRANSACTION_BUSY;
	pthread_cond_signal(&shared.condition);
	pthread_mutex_unlock(&shared.mutex);
}

/*
 * Fences off whoever has this name, ends what he has left, reads the position
 * and opens a transaction.  Once, when Kafka has answered.
 */
void
ev_producer_start_transactions(void)
{
	ask(REQUEST_START, NULL);
}

/*
 * Makes the position that Kafka keeps part of the transaction, until another
 * takes its place; nothing should be sent until it is done.
 *
 * That saves time: Kafka takes no partition into a transaction before the last
 * one is over to its end.  For a partition librdkafka tries again after 20 ms,
 * for a position after retry.backoff.ms.
 */
void
ev_producer_join(void)
{
	ask(REQUEST_JOIN, NULL);
}

/*
 * Commits all that was sent, which librdkafka must have taken, and the position
 * unless it is NULL or invalid.  What is on its way goes without waiting for
 * linger.ms.  Nothing may be sent until it is done; delivery reports must be
 * served meanwhile.
 */
void
ev_producer_commit(const EvStoredPosition *position)
{
	Assert(!ev_producer_holds());
	ask(REQUEST_COMMIT, position);
}

/*
 * Nothing of what was sent counts; what is not reported yet will be, in any
 * way.  Nothing may be sent until it is done.
 */
void
ev_producer_abort(void)
{
	ev_producer_group_recall();
	ask(REQUEST_ABORT, NULL);
}

EvTransactionState
ev_producer_transaction_state(void)
{
	if (rk == NULL)
		return EV_TRANSACTION_NONE;
	if (seen == EV_TRANSACTION_BUSY)
	{
		pthread_mutex_lock(&shared.mutex);
		seen = shared.state;
		pthread_mutex_unlock(&shared.mutex);
	}
	return seen;
}

/* When Kafka was last asked for something, or could be for the first time. */
EvInstant
ev_producer_transaction_asked_at(void)
{
	return asked_at;
}

/* Why it is BROKEN or FAILED, in words.  Not while it is BUSY. */
const char *
ev_producer_transaction_error(void)
{
	return shared.error;
}

/* What was read at the start.  Not while it is BUSY, nor after anything else. */
const EvStoredPosition *
ev_producer_stored_position(void)
{
	return &shared.position;
}
