/*-------------------------------------------------------------------------
 *
 * producer_events.c
 *	  What librdkafka has to say, an event at a time.
 *
 * Delivery reports go to whoever sent the records, errors and statistics to
 * those who watch, logs to the server's log.  For producer.c, on the main
 * thread.
 *
 * Owns nothing; a restart is no matter.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <librdkafka/rdkafka.h>

#include "producer_events.h"
#include "producer_refusal.h"
#include "producer_stats.h"
#include "producer_watch.h"

/* Delivery reports that are looked at together. */
#define REPORTS_AT_ONCE 32

/* Headers, which are needed to send a failed record once more. */
static void
describe_headers(EvDelivery *delivery, const rd_kafka_message_t *record)
{
	rd_kafka_headers_t *headers;
	EvHeader   *copies;

	if (rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	delivery->header_count = rd_kafka_header_cnt(headers);
	copies = palloc(sizeof(EvHeader) * Max(delivery->header_count, 1));
	for (int i = 0; i < delivery->header_count; i++)
	{
		const void *value;

		rd_kafka_header_get_all(headers, i, &copies[i].name, &value,
								&copies[i].value_length);
		copies[i].value = value;
	}
	delivery->headers = copies;
}

/*
 * Describes a record, all zero before, but for its headers; if it was not
 * stored, why.
 */
void
ev_producer_events_describe(EvDelivery *delivery,
							const rd_kafka_message_t *record, bool stored)
{
	delivery->ticket = (uint64) (uintptr_t) record->_private;
	delivery->delivered = stored && record->err == RD_KAFKA_RESP_ERR_NO_ERROR;
	delivery->topic = rd_kafka_topic_name(record->rkt);
	delivery->partition = record->partition;
	delivery->key = record->key;
	delivery->key_length = record->key_len;
	delivery->value = record->payload;
	delivery->value_length = record->len;
	if (delivery->delivered)
		return;
	delivery->undecided = record->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
		record->err == RD_KAFKA_RESP_ERR_NO_ERROR;
	/* rd_kafka_message_errstr() would return the record's value. */
	delivery->error_name = rd_kafka_err2name(record->err);
	delivery->error = rd_kafka_err2str(record->err);
}

/*
 * Pass on one delivery report.  A record that failed along with the producer
 * was not refused by Kafka: another producer will send it.
 */
static void
serve_delivery(const rd_kafka_message_t *record, bool stored,
			   EvDeliveryCallback callback)
{
	EvDelivery	delivery = {0};

	if (record->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		ev_producer_watch_up();
	else if (ev_producer_watch_fatal())
		return;

	ev_producer_refusal_reported(record->err);
	ev_producer_events_describe(&delivery, record, stored);
	if (!delivery.delivered)
		describe_headers(&delivery, record);
	callback(&delivery);
}

/*
 * Pass on the delivery reports of an event.
 *
 * A success without an offset is what librdkafka, or the broker, concludes
 * from sequence numbers, and it is wrong where the broker knew none of this
 * producer's: a partition that is not ready yet refuses one request and takes
 * the next, and the first, tried again, looks like a duplicate.  librdkafka
 * counts offsets on from the first of a batch, which an event is.
 *
 * Tickets are addresses of what was not touched for a while: the processor
 * fetches many at a time as fast as one.
 */
static void
serve_deliveries(rd_kafka_event_t *event, EvDeliveryCallback callback)
{
	const rd_kafka_message_t *records[REPORTS_AT_ONCE];
	size_t		count;
	bool		stored = true;

	while ((count = rd_kafka_event_message_array(event, records, REPORTS_AT_ONCE)) > 0)
	{
		for (size_t i = 0; i < count; i++)
			ev_prefetch(records[i]->_private);
		for (size_t i = 0; i < count; i++)
		{
			stored &= records[i]->offset >= 0;
			serve_delivery(records[i], stored, callback);
		}
	}
}

static void
serve_log(rd_kafka_event_t *event)
{
	const char *facility;
	const char *text;
	int			level;

	if (rd_kafka_event_log(event, &facility, &text, &level) == 0)
		elog(DEBUG1, "librdkafka: %s: %s", facility, text);
}

/* Serves one event, which may throw. */
static void
serve_event(rd_kafka_event_t *event, EvDeliveryCallback callback)
{
	switch (rd_kafka_event_type(event))
	{
		case RD_KAFKA_EVENT_DR:
			serve_deliveries(event, callback);
			break;
		case RD_KAFKA_EVENT_ERROR:
			ev_producer_watch_error(event);
			break;
		case RD_KAFKA_EVENT_LOG:
			serve_log(event);
			break;
		case RD_KAFKA_EVENT_STATS:
			ev_producer_stats_take(rd_kafka_event_stats(event));
			break;
		default:
			break;
	}
}

/*
 * Serves one event and frees it, also if that throws.  What a delivery points
 * to is valid during the callback.
 */
void
ev_producer_events_take(rd_kafka_event_t *event, EvDeliveryCallback callback)
{
	PG_TRY();
	{
		serve_event(event, callback);
	}
	PG_FINALLY();
	{
		rd_kafka_event_destroy(event);
	}
	PG_END_TRY();
}
