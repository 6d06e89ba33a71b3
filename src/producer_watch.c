/*-------------------------------------------------------------------------
 *
 * producer_watch.c
 *	  Does Kafka answer?
 *
 * librdkafka does not say.  We conclude it: the first cluster id, or a
 * delivery, says that it does.  "All brokers are down" only says that no
 * connection is left, which is also how idle connections end.  Then we ask
 * Kafka something (any answer will do), and only if there is none in a while,
 * Kafka is down.  While it is down the question is repeated: with nothing to
 * send there would be no other sign of its return.
 *
 * This file owns the state of the process's one producer.  It promises that
 * UP and DOWN are never mere guesses, that a fatal producer stays fatal, and
 * that at most one question is under way.  It never waits.
 *
 * After a restart, and with each new producer, nothing is known.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "portability/instr_time.h"

#include "producer.h"
#include "producer_watch.h"

/* How often we ask, and how long we believe in a lost connection's return. */
#define PING_INTERVAL_MS 1000
#define DOUBT_MS 2000

/*
 * How long librdkafka waits for the answer.  It is not short because
 * librdkafka drops the connection on which an answer is late, and with it
 * what else is under way there.
 */
#define PING_TIMEOUT_MS 15000

/* Whose configuration we ask for; the topic need not exist. */
#define PING_TOPIC "eventuate"

static rd_kafka_t *rk = NULL;	/* producer.c's; NULL: there is none */
static rd_kafka_queue_t *events = NULL;

static EvKafkaState state = EV_KAFKA_UNKNOWN;
static char newest_error[512] = "";
static bool in_doubt = false;	/* all connections lost, not yet DOWN */
static instr_time doubt_since;
static bool pinging = false;	/* a question is under way */
static instr_time last_ping;

/*
 * Watch over a new producer; answers come to this queue, from where they are
 * to be passed to ev_producer_watch_answer().  Both NULL: watch no more.
 */
void
ev_producer_watch_start(rd_kafka_t *producer, rd_kafka_queue_t *queue)
{
	rk = producer;
	events = queue;
	state = EV_KAFKA_UNKNOWN;
	newest_error[0] = '\0';
	in_doubt = false;
	pinging = false;
	INSTR_TIME_SET_CURRENT(last_ping);
}

/* Kafka has answered. */
void
ev_producer_watch_up(void)
{
	if (state == EV_KAFKA_FATAL)
		return;
	state = EV_KAFKA_UP;
	in_doubt = false;
	newest_error[0] = '\0';
}

/* Kafka has not answered; the reason is for want of a better one. */
static void
set_down(const char *reason)
{
	if (state == EV_KAFKA_FATAL)
		return;
	state = EV_KAFKA_DOWN;
	in_doubt = false;
	if (newest_error[0] == '\0')
		strlcpy(newest_error, reason, sizeof(newest_error));
}

/*
 * Can this producer go on no more?  librdkafka knows; we remember.
 */
bool
ev_producer_watch_fatal(void)
{
	char		text[sizeof(newest_error)] = "";
	rd_kafka_resp_err_t error = rd_kafka_fatal_error(rk, text, sizeof(text));

	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	if (state != EV_KAFKA_FATAL)
		snprintf(newest_error, sizeof(newest_error), "%s (%s)", text,
				 rd_kafka_err2name(error));
	state = EV_KAFKA_FATAL;
	return true;
}

/*
 * Remember an error in librdkafka's words, which name the broker.  What it
 * appends of times and counts would make each one look new.
 */
static void
remember_error(const char *text)
{
	char	   *appendix;

	strlcpy(newest_error, text, sizeof(newest_error));
	appendix = strstr(newest_error, " (after ");
	if (appendix != NULL)
		*appendix = '\0';
}

static bool
elapsed(instr_time since, double milliseconds)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now) >= milliseconds;
}

/* Ask Kafka something; the answer comes as an event. */
static void
send_ping(void)
{
	rd_kafka_AdminOptions_t *options;
	rd_kafka_ConfigResource_t *resource;
	char		error[256];

	options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(options, PING_TIMEOUT_MS,
											  error, sizeof(error));
	resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
										   PING_TOPIC);
	rd_kafka_DescribeConfigs(rk, &resource, 1, options, events);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_AdminOptions_destroy(options);

	pinging = true;
	INSTR_TIME_SET_CURRENT(last_ping);
}

/*
 * An answer to a ping.  Kafka's own errors are positive: a broker that says
 * that we may not ask has answered, as has one that does not know how to.
 */
void
ev_producer_watch_answer(rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t error = rd_kafka_event_error(event);

	pinging = false;
	if (error >= RD_KAFKA_RESP_ERR_NO_ERROR ||
		error == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
		ev_producer_watch_up();
	else if (state != EV_KAFKA_UP || in_doubt)
		set_down("no broker answers");
}

/* An error that is not a single record's. */
void
ev_producer_watch_error(rd_kafka_event_t *event)
{
	if (ev_producer_watch_fatal())
		return;

	if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		remember_error(rd_kafka_event_error_string(event));
	else if (state == EV_KAFKA_UP)
	{
		in_doubt = true;
		INSTR_TIME_SET_CURRENT(doubt_since);
	}
	else
		set_down(rd_kafka_event_error_string(event));
}

/* Find out what no event tells; to be called at each poll. */
void
ev_producer_watch_poll(void)
{
	if (state == EV_KAFKA_UNKNOWN)
	{
		char	   *cluster = rd_kafka_clusterid(rk, 0);

		if (cluster != NULL)
		{
			rd_kafka_mem_free(rk, cluster);
			ev_producer_watch_up();
		}
	}

	if (in_doubt && elapsed(doubt_since, DOUBT_MS))
		set_down("all connections to brokers are lost");

	if (!pinging && state != EV_KAFKA_FATAL &&
		(in_doubt || state != EV_KAFKA_UP) &&
		elapsed(last_ping, PING_INTERVAL_MS))
		send_ping();
}

EvKafkaState
ev_producer_state(void)
{
	return state;
}

/*
 * The newest error, in words; NULL: none that matters.  Valid until the next
 * call of this module.
 */
const char *
ev_producer_error(void)
{
	if (state == EV_KAFKA_UP || newest_error[0] == '\0')
		return NULL;
	return newest_error;
}
