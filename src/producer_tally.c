/*-------------------------------------------------------------------------
 *
 * producer_tally.c
 *	  How many records of transactions Kafka has stored.
 *
 * A record of a transaction of Kafka's counts only once that is committed, and
 * then all of them do.  So there are delivery reports of failures alone; what
 * is stored librdkafka's threads count as they learn of it, and the main thread
 * need not look at each record once more.
 *
 * What runs in librdkafka's threads calls nothing of PostgreSQL's and nothing of
 * librdkafka's.
 *
 * Promises: a transaction is not committed with a record that Kafka only says
 * to have.
 *
 * Of no interest after a restart: the new producer has sent nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <librdkafka/rdkafka.h>

#include "port/atomics.h"

#include "producer_tally.h"
#include "producer_transaction.h"
#include "producer_watch.h"

static pg_atomic_uint64 stored;

/*
 * An interceptor, in librdkafka's threads: for each record, before its
 * delivery report if it gets one.
 *
 * A success without an offset is what librdkafka, or the broker, concludes
 * from sequence numbers, and it is wrong where the broker knew none of this
 * producer's (see producer_events.c).
 */
static rd_kafka_resp_err_t
count_report(rd_kafka_t *rk, rd_kafka_message_t *record, void *opaque)
{
	if (record->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	if (unlikely(record->offset < 0))
		ev_producer_set_sound(false);
	pg_atomic_fetch_add_u64(&stored, 1);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* An interceptor: the producer is being made, and has no thread yet. */
static rd_kafka_resp_err_t
add_interceptor(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
				char *error, size_t error_size)
{
	return rd_kafka_interceptor_add_on_acknowledgement(rk, "eventuate",
													   count_report, NULL);
}

/* A producer that is made of this conf, with transactions, reports that way. */
bool
ev_producer_tally_watch(rd_kafka_conf_t *conf)
{
	pg_atomic_init_u64(&stored, 0);
	return rd_kafka_conf_set(conf, "delivery.report.only.error", "true", NULL, 0) == RD_KAFKA_CONF_OK &&
		rd_kafka_conf_interceptor_add_on_new(conf, "eventuate", add_interceptor,
											 NULL) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * Records of transactions that Kafka has stored, for which there is no report;
 * 0 without transactions.
 */
uint64
ev_producer_stored(void)
{
	return pg_atomic_read_u64(&stored);
}

/* In the main thread: has Kafka answered since the last time? */
void
ev_producer_tally_poll(void)
{
	static uint64 seen = 0;
	uint64		now = ev_producer_stored();

	if (now == seen)
		return;
	seen = now;
	ev_producer_watch_up();
}
