/*-------------------------------------------------------------------------
 *
 * producer_position.c
 *	  A position that Kafka keeps, asked for and stored.
 *
 * It is the offset of a consumer group on a topic of our own, with a note
 * beside it; the group is named as the producer is, and has no members.  The
 * topic is made if it is not there.
 *
 * All of this runs in the thread of producer_transaction.c: nothing of
 * PostgreSQL's here.  Owns nothing; a restart is no matter.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "producer_position.h"

#define POSITIONS_TOPIC "eventuate_positions"

/* In ms, for what only reads or makes the topic. */
#define CALL_TIMEOUT 10000

#define ERROR_SIZE 512

/*
 * Makes the topic, unless it is there or we may not: whether it will do is
 * seen when a position is stored.
 */
void
ev_producer_position_prepare(rd_kafka_t *rk)
{
	char		error[ERROR_SIZE];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(POSITIONS_TOPIC, 1, -1,
													   error, sizeof(error));
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;

	rd_kafka_AdminOptions_set_request_timeout(options, CALL_TIMEOUT, error, sizeof(error));
	rd_kafka_AdminOptions_set_operation_timeout(options, CALL_TIMEOUT, error, sizeof(error));
	rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
	event = rd_kafka_queue_poll(queue, 2 * CALL_TIMEOUT);
	if (event != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_NewTopic_destroy(topic);
}

static rd_kafka_topic_partition_list_t *
position_list(void)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, POSITIONS_TOPIC, 0);
	return list;
}

static rd_kafka_resp_err_t
read_with(rd_kafka_t *reader, EvStoredPosition *position)
{
	rd_kafka_topic_partition_list_t *list = position_list();
	rd_kafka_resp_err_t error = rd_kafka_committed(reader, list, CALL_TIMEOUT);
	const rd_kafka_topic_partition_t *found = &list->elems[0];

	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
		error = found->err;
	memset(position, 0, sizeof(*position));
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR && found->offset >= 0)
	{
		size_t		length = found->metadata_size < sizeof(position->note) ?
		found->metadata_size : sizeof(position->note) - 1;

		position->lsn = (XLogRecPtr) found->offset;
		if (length > 0)
			memcpy(position->note, found->metadata, length);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return error;
}

/*
 * Reads the position, by a consumer of its own that is made of "reader_conf",
 * with isolation.level=read_committed.  False: *error says why.
 */
bool
ev_producer_position_read(const rd_kafka_conf_t *reader_conf,
						  EvStoredPosition *position,
						  char *error, size_t error_size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_dup(reader_conf);
	rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, error_size);
	rd_kafka_resp_err_t result;

	if (reader == NULL)
	{
		rd_kafka_conf_destroy(conf);
		return false;
	}
	result = read_with(reader, position);
	rd_kafka_destroy_flags(reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	if (result == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	snprintf(error, error_size,
			 "could not read the position from Kafka: %s (%s)",
			 rd_kafka_err2str(result), rd_kafka_err2name(result));
	return false;
}

/*
 * Makes the position a part of the open transaction.  The error is the
 * caller's to free.
 */
rd_kafka_error_t *
ev_producer_position_send(rd_kafka_t *rk, const char *group,
						  const EvStoredPosition *position)
{
	rd_kafka_topic_partition_list_t *list = position_list();
	rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata_new(group);
	rd_kafka_error_t *error;

	list->elems[0].offset = (int64_t) position->lsn;
	list->elems[0].metadata_size = strlen(position->note);
	list->elems[0].metadata = strdup(position->note);
	if (list->elems[0].metadata == NULL)
		list->elems[0].metadata_size = 0;
	error = rd_kafka_send_offsets_to_transaction(rk, list, metadata, -1);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_consumer_group_metadata_destroy(metadata);
	return error;
}
