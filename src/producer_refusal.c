/*-------------------------------------------------------------------------
 *
 * producer_refusal.c
 *	  Nothing overtakes what a broker has refused.
 *
 * When a broker refuses a batch librdkafka reports that, and goes on at once
 * with what is in its queue behind it: long before we, who would call that
 * back, have seen the report.  So librdkafka is asked to tell us as soon as it
 * knows, in its own thread, which then waits until the main thread has called
 * back what is not sent yet.  Until that thread has gone on librdkafka sends
 * nothing anywhere: it begins a new epoch when all that is refused is reported.
 *
 * What runs in librdkafka's thread calls nothing of PostgreSQL's and nothing of
 * librdkafka's.  It shares one variable with the main thread, behind a mutex.
 *
 * Promises: the thread waits only for records that are refused, for each no
 * longer than PATIENCE, for none once the main thread has called back, and not
 * at all once the producer is being closed.
 *
 * Of no interest after a restart: the new producer has been refused nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "producer_refusal.h"

/* In s. */
#define PATIENCE 1

typedef enum State
{
	STATE_NONE,
	STATE_WAITING,				/* librdkafka's thread waits for the main one */
	STATE_CALLED_BACK,			/* the report is about to come */
	STATE_ENDED
} State;

static struct
{
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	volatile State state;		/* a look without the mutex may come too early */
}			shared = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};

/* Constant while there is a producer. */
static int	wake_fd = -1;

/* ---------------------------------------------------------------------
 * In librdkafka's threads: nothing of PostgreSQL's from here on.
 * ---------------------------------------------------------------------
 */

/* Only these wait: a broker's thread holds no locks when it reports. */
static __thread bool is_broker_thread = false;

static rd_kafka_resp_err_t
note_thread(rd_kafka_t *rk, rd_kafka_thread_type_t type, const char *name,
			void *opaque)
{
	is_broker_thread = type == RD_KAFKA_THREAD_BROKER;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * Is it a broker's refusal, which may be one record's fault, and not of the
 * topic as a whole?  librdkafka's own errors are negative.
 */
static bool
is_refusal(rd_kafka_resp_err_t error)
{
	return error > RD_KAFKA_RESP_ERR_NO_ERROR &&
		error != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED &&
		error != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/*
 * Waits for the main thread: for all records of a batch at the first, unless
 * that one is deaf for longer.
 */
static void
wait_for_main_thread(void)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += PATIENCE;
	pthread_mutex_lock(&shared.mutex);
	if (shared.state == STATE_NONE)
	{
		shared.state = STATE_WAITING;
		if (write(wake_fd, "r", 1) < 0)
		{
			/* The pipe is full: the main thread is awake anyhow. */
		}
		while (shared.state == STATE_WAITING &&
			   pthread_cond_timedwait(&shared.condition, &shared.mutex, &end) == 0)
			;
		if (shared.state == STATE_WAITING)
			shared.state = STATE_NONE;
	}
	pthread_mutex_unlock(&shared.mutex);
}

/* An interceptor: for each record, before its delivery report. */
static rd_kafka_resp_err_t
look_at_report(rd_kafka_t *rk, rd_kafka_message_t *record, void *opaque)
{
	if (unlikely(is_refusal(record->err)) && is_broker_thread)
		wait_for_main_thread();
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---------------------------------------------------------------------
 * In the main thread
 * ---------------------------------------------------------------------
 */

/* An interceptor: the producer is being made, and has no thread yet. */
static rd_kafka_resp_err_t
add_interceptors(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
				 char *error, size_t error_size)
{
	rd_kafka_resp_err_t result =
	rd_kafka_interceptor_add_on_thread_start(rk, "eventuate", note_thread, NULL);

	return result != RD_KAFKA_RESP_ERR_NO_ERROR ? result :
		rd_kafka_interceptor_add_on_acknowledgement(rk, "eventuate",
													look_at_report, NULL);
}

/*
 * A producer that is made of this conf writes a byte into "fd" when there is
 * a refusal.  Not for transactions: a refusal breaks those.
 */
void
ev_producer_refusal_watch(rd_kafka_conf_t *conf, int fd)
{
	rd_kafka_resp_err_t result PG_USED_FOR_ASSERTS_ONLY;
	pthread_condattr_t attributes;

	/* By a clock that nobody sets. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&shared.condition, &attributes);
	pthread_condattr_destroy(&attributes);
	wake_fd = fd;
	shared.state = STATE_NONE;
	result = rd_kafka_conf_interceptor_add_on_new(conf, "eventuate",
												  add_interceptors, NULL);

	/* It fails only where the conf has one of that name. */
	Assert(result == RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Is there a refusal, so that what is not sent is to be called back at once? */
bool
ev_producer_refusal_waits(void)
{
	return shared.state == STATE_WAITING;
}

static void
set_state(State from, State to)
{
	pthread_mutex_lock(&shared.mutex);
	if (shared.state == from)
		shared.state = to;
	pthread_cond_signal(&shared.condition);
	pthread_mutex_unlock(&shared.mutex);
}

/* It is called back: librdkafka may go on, and report the refusal. */
void
ev_producer_refusal_go_on(void)
{
	set_state(STATE_WAITING, STATE_CALLED_BACK);
}

/* Must nothing be sent before the report of a refusal has come? */
bool
ev_producer_refusal_expected(void)
{
	return shared.state == STATE_CALLED_BACK;
}

/* The report of a record that was not stored has come. */
void
ev_producer_refusal_reported(rd_kafka_resp_err_t error)
{
	if (is_refusal(error))
		set_state(STATE_CALLED_BACK, STATE_NONE);
}

/* The producer is about to be closed: librdkafka need not wait anymore. */
void
ev_producer_refusal_end(void)
{
	pthread_mutex_lock(&shared.mutex);
	shared.state = STATE_ENDED;
	pthread_cond_broadcast(&shared.condition);
	pthread_mutex_unlock(&shared.mutex);
}
