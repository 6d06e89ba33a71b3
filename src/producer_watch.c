/*-------------------------------------------------------------------------
 *
 * producer_watch.c
 *	  Does Kafka answer?
 *
 * librdkafka does not say.  We conclude it: a delivery, or an established
 * connection, over which the broker has told its versions and let us in, says
 * that it does.  "All brokers are down" only says that no connection is left,
 * which is also how idle connections end; only if there is no new one in a
 * while, Kafka is down.  Whether there is a connection must be asked for:
 * with nothing to send there is no other sign of Kafka's return.
 *
 * This file owns the state of the process's one producer.  It promises that
 * UP and DOWN are never mere guesses and that a fatal producer stays fatal.
 * It never waits.
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

/* How often we look for a connection while there is none that we know of. */
#define LOOK_INTERVAL_MS 100

/* How long there may be none: after all are lost, and in the beginning. */
#define LOST_PATIENCE_MS 2000
#define FIRST_PATIENCE_MS 10000

/* Where librdkafka names no reason; newer ones do not name a wrong protocol. */
#define NO_ANSWER "no broker has answered; see bootstrap.servers and security.protocol"

static rd_kafka_t *rk = NULL;	/* producer.c's; NULL: there is none */

static EvKafkaState state = EV_KAFKA_UNKNOWN;
static char newest_error[512] = "";
static bool in_doubt = false;	/* all connections lost, not yet DOWN */
static instr_time doubt_since;	/* or when the producer was opened */
static instr_time last_look;

/* Watch over a new producer; NULL: watch no more. */
void
ev_producer_watch_start(rd_kafka_t *producer)
{
	rk = producer;
	state = EV_KAFKA_UNKNOWN;
	newest_error[0] = '\0';
	in_doubt = false;
	INSTR_TIME_SET_CURRENT(doubt_since);
	INSTR_TIME_SET_ZERO(last_look);
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
 * What to look at, by words of librdkafka's or of OpenSSL's, where they do not
 * name a property themselves, or name one of several.
 */
static const char *
advice(const char *text)
{
	static const char *const advices[][2] = {
		{"certificate could not be verified", "the broker's certificate may also have expired, or be of another host"},
		{"alert bad certificate", "see ssl.certificate.location and ssl.key.location"},
		{"alert certificate required", "see ssl.certificate.location and ssl.key.location"},
		{"alert certificate unknown", "see ssl.certificate.location: unknown to Kafka, or expired"},
		{"alert unknown ca", "see ssl.certificate.location: its issuer is unknown to Kafka"},
		{"alert certificate expired", "see ssl.certificate.location"},
		{"alert certificate revoked", "see ssl.certificate.location"},
		{"SSL handshake failed", "see security.protocol: the listener may not speak TLS"},
		{"SASL authentication error", "see sasl.username and sasl.password"},
		{"Unsupported SASL mechanism", "see sasl.mechanism"},
		{"mechanism handshake failed", "see security.protocol: the listener may not want SASL"},
	};

	for (int i = 0; i < lengthof(advices); i++)
	{
		if (strstr(text, advices[i][0]) != NULL)
			return advices[i][1];
	}
	return NULL;
}

/*
 * Remember an error in librdkafka's words, which name the broker.  A mere
 * "Disconnected" says less than what came before, if anything did, and what
 * librdkafka appends of times and counts would make each error look new.
 */
static void
remember_error(const char *text)
{
	size_t		length = strlen(text);
	const char *appendix = strstr(text, " (after ");
	const char *look_at = advice(text);

	if (appendix != NULL)
		length = appendix - text;
	if (newest_error[0] != '\0' && length >= strlen(": Disconnected") &&
		strncmp(text + length - strlen(": Disconnected"), ": Disconnected",
				strlen(": Disconnected")) == 0)
		return;
	snprintf(newest_error, sizeof(newest_error),
			 look_at != NULL ? "%.*s (%s)" : "%.*s", (int) length, text, look_at);
}

static bool
elapsed(instr_time since, double milliseconds)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now) >= milliseconds;
}

/*
 * Has any broker an established connection?  A request for metadata that may
 * take no time fails in one way if there is none, after having asked for one,
 * and in another if it was sent; its answer refreshes what librdkafka knows.
 */
static bool
is_connected(void)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t error;

	INSTR_TIME_SET_CURRENT(last_look);
	error = rd_kafka_metadata(rk, 0, NULL, &metadata, 0);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	return error == RD_KAFKA_RESP_ERR_NO_ERROR ||
		error == RD_KAFKA_RESP_ERR__TIMED_OUT;
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
		/* Newer librdkafkas repeat it: the first one counts. */
		if (!in_doubt)
			INSTR_TIME_SET_CURRENT(doubt_since);
		in_doubt = true;
	}
	else
		set_down(NO_ANSWER);
}

/* Find out what no event tells; to be called at each poll. */
void
ev_producer_watch_poll(void)
{
	if (state == EV_KAFKA_FATAL || (state == EV_KAFKA_UP && !in_doubt))
		return;

	if (elapsed(last_look, LOOK_INTERVAL_MS) && is_connected())
		ev_producer_watch_up();
	else if (in_doubt && elapsed(doubt_since, LOST_PATIENCE_MS))
		set_down("all connections to brokers are lost");
	else if (state == EV_KAFKA_UNKNOWN &&
			 elapsed(doubt_since, FIRST_PATIENCE_MS))
		set_down(NO_ANSWER);
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
