/*-------------------------------------------------------------------------
 *
 * producer_group.c
 *	  Records that librdkafka gets together.
 *
 * To take a record librdkafka reads the clock three times and locks the topic;
 * for many records at a time it does so once.  So records without anything
 * special, of one topic, wait here for others; not for long: whoever stops
 * sending for now flushes the group.
 *
 * Promises: a record that was added is taken by librdkafka, in the order in
 * which they were added, or reported.  As long as there are some that are not
 * taken no other is.
 *
 * Of no interest after a restart: what was in the group is decoded again.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "producer_events.h"
#include "producer_group.h"
#include "producer_refusal.h"
#include "producer_watch.h"

/* Records, and bytes of their keys and values where these are copied. */
#define GROUP_SIZE 64
#define COPIES_SIZE (64 * 1024)

/* A record that has more bytes is no better off in company. */
#define MAX_SIZE (8 * 1024)

/* The group: topic, key, value, ticket and, if librdkafka has not taken it, why. */
static rd_kafka_message_t records[GROUP_SIZE];
static int	count = 0;
static rd_kafka_topic_t *topic = NULL;

/* Where keys and values are; whoever keeps those himself does not need it. */
static bool copies_needed = true;
static char copies[COPIES_SIZE];
static size_t copied = 0;

/* Are there records to be reported, which go before all that is to be taken? */
static bool to_report = false;
static int	wake_fd = -1;

/*
 * A new producer: the group is empty.  Do senders keep keys and values of what
 * they have sent?  A byte goes into "fd" when there is something to report.
 */
void
ev_producer_group_open(bool keeps, int fd)
{
	copies_needed = !keeps;
	wake_fd = fd;
	count = 0;
	copied = 0;
	to_report = false;
}

/* Is this a record for a group? */
bool
ev_producer_group_takes(const EvMessage *message)
{
	return message->header_count == 0 && message->timestamp == 0 &&
		message->partition == EV_ANY_PARTITION &&
		message->key_length + message->value_length <= MAX_SIZE;
}

static void *
copy(const void *bytes, size_t length)
{
	char	   *start = copies + copied;

	if (bytes == NULL || !copies_needed)
		return unconstify(void *, bytes);
	memcpy(start, bytes, length);
	copied += length;
	return start;
}

/*
 * Adds a record, whose key and value are copied unless senders keep them; false:
 * there is no room.  What is of another topic was flushed before.
 */
bool
ev_producer_group_add(rd_kafka_topic_t *its_topic,
					  const EvMessage *message, uint64 ticket)
{
	rd_kafka_message_t *record;
	size_t		size = message->key_length + message->value_length;

	Assert(ev_producer_group_takes(message));
	Assert(count == 0 || its_topic == topic);
	if ((to_report || count == GROUP_SIZE || copied + size > COPIES_SIZE) &&
		!ev_producer_group_flush())
		return false;

	if (count == 0)
		copied = 0;
	topic = its_topic;
	record = &records[count++];
	record->err = RD_KAFKA_RESP_ERR_NO_ERROR;
	record->key = copy(message->key, message->key_length);
	record->key_len = message->key_length;
	record->payload = copy(message->value, message->value_length);
	record->len = message->value_length;
	record->_private = (void *) (uintptr_t) ticket;
	return true;
}

/*
 * Does this error say that nothing more can be sent for now?  Of a transaction
 * that can only be aborted the report is on its way; a producer that has turned
 * fatal takes nothing anymore.
 */
bool
ev_producer_is_for_now(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__STATE ||
		error == RD_KAFKA_RESP_ERR__QUEUE_FULL || ev_producer_watch_fatal();
}

static void
want_report(void)
{
	if (to_report)
		return;
	to_report = true;
	if (write(wake_fd, "g", 1) < 0)
	{
		/* The pipe is full: it is readable anyhow. */
	}
}

/* Forgets what librdkafka has taken; what it has refused is to be reported. */
static void
keep_others(void)
{
	int			kept = 0;

	for (int i = 0; i < count; i++)
	{
		rd_kafka_message_t *record = &records[i];

		if (record->err == RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		if (ev_producer_is_for_now(record->err))
			record->err = RD_KAFKA_RESP_ERR_NO_ERROR;
		else
			want_report();
		records[kept++] = *record;
	}
	count = kept;
}

/* Has librdkafka take all of the group; false: it does not, for now. */
bool
ev_producer_group_flush(void)
{
	if (count == 0)
		return true;
	if (to_report || unlikely(ev_producer_refusal_expected()))
		return false;
	if (likely(rd_kafka_produce_batch(topic, EV_ANY_PARTITION,
									  copies_needed ? RD_KAFKA_MSG_F_COPY : 0,
									  records, count) == count))
		count = 0;
	else
		keep_others();
	return count == 0;
}

/*
 * Calls back all that librdkafka has not taken: it will be reported as
 * undecided.
 */
void
ev_producer_group_recall(void)
{
	for (int i = 0; i < count; i++)
	{
		if (records[i].err == RD_KAFKA_RESP_ERR_NO_ERROR)
			records[i].err = RD_KAFKA_RESP_ERR__PURGE_QUEUE;
	}
	if (count > 0)
		want_report();
}

static void
report(rd_kafka_message_t *record, EvDeliveryCallback callback)
{
	EvDelivery	delivery = {0};

	record->rkt = topic;
	record->partition = EV_ANY_PARTITION;
	ev_producer_events_describe(&delivery, record, false);
	callback(&delivery);
}

/*
 * Reports what librdkafka has refused, and what was called back.  If the
 * callback throws this producer is of no more use.
 */
void
ev_producer_group_report(EvDeliveryCallback callback)
{
	int			kept = 0;

	if (likely(!to_report))
		return;
	for (int i = 0; i < count; i++)
	{
		if (records[i].err == RD_KAFKA_RESP_ERR_NO_ERROR)
			records[kept++] = records[i];
		else
			report(&records[i], callback);
	}
	to_report = false;
	count = kept;
}

/* Is there anything that librdkafka has not taken? */
bool
ev_producer_holds(void)
{
	return count > 0;
}
