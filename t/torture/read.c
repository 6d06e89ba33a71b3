/*-------------------------------------------------------------------------
 *
 * read.c
 *	  Reads topics until stdin ends, and then up to their ends.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

#define MAX_TOPICS 16
#define MAX_PARTITIONS 16

static int64_t position[MAX_TOPICS][MAX_PARTITIONS];

/* Are all partitions read to their ends? */
static bool
at_the_ends(rd_kafka_t *consumer, int topics, char **topic, int partitions)
{
	for (int t = 0; t < topics; t++)
	{
		for (int p = 0; p < partitions; p++)
		{
			int64_t		low;
			int64_t		high;
			rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(consumer, topic[t], p, &low, &high, 10000);

			if (error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
				error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
				continue;
			if (error != RD_KAFKA_RESP_ERR_NO_ERROR || position[t][p] < high)
				return false;
		}
	}
	return true;
}

int
read_topics(int argc, char **argv)
{
	static const char *const properties[][2] = {
		{"group.id", "torture"}, {"fetch.wait.max.ms", "20"}, {"enable.auto.commit", "false"},
		{"auto.offset.reset", "error"}, {"reconnect.backoff.max.ms", "500"}, {"log_level", "2"},
		{"topic.metadata.refresh.interval.ms", "1000"}, {"check.crcs", "true"},
		{"topic.metadata.propagation.max.ms", "0"}, {"enable.partition.eof", "true"}
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_t *consumer;
	int			partitions;
	int			topics;
	bool		committed = strcmp(argv[1], "read-committed") == 0;
	bool		ending = false;
	double		checked = 0;

	if (argc < 5 || argc - 4 > MAX_TOPICS || atoi(argv[3]) > MAX_PARTITIONS)
		return 2;
	partitions = atoi(argv[3]);
	topics = argc - 4;
	rd_kafka_conf_set(conf, "bootstrap.servers", argv[2], NULL, 0);
	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
	{
		char		error[512];

		if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error, sizeof(error)) != RD_KAFKA_CONF_OK)
			fprintf(stderr, "%s\n", error);
	}
	consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	rd_kafka_poll_set_consumer(consumer);
	for (int t = 0; t < topics; t++)
	{
		for (int p = 0; p < partitions; p++)
			rd_kafka_topic_partition_list_add(list, argv[4 + t], p)->offset = 0;
	}
	rd_kafka_assign(consumer, list);

	for (;;)
	{
		rd_kafka_message_t *record;

		while ((record = rd_kafka_consumer_poll(consumer, 50)) != NULL)
		{
			bool		at_end = record->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;

			for (int t = 0; (record->err == 0 || at_end) && t < topics; t++)
			{
				if (strcmp(rd_kafka_topic_name(record->rkt), argv[4 + t]) != 0)
					continue;
				if (committed && record->offset > position[t][record->partition])
					position[t][record->partition] = record->offset;
				if (at_end)
					break;
				if (record->offset != position[t][record->partition])
				{
					fprintf(stderr, "%s [%d]: offset %ld comes after %ld\n", argv[4 + t], record->partition,
							(long) record->offset, (long) position[t][record->partition] - 1);
					_exit(1);
				}
				position[t][record->partition]++;
				print_record(t, record);
			}
			rd_kafka_message_destroy(record);
		}
		if (!ending)
		{
			struct pollfd in = {STDIN_FILENO, POLLIN, 0};
			char		byte;

			ending = poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
		}
		else if (now_ms(CLOCK_MONOTONIC) - checked > 200)
		{
			if (at_the_ends(consumer, topics, argv + 4, partitions))
				break;
			checked = now_ms(CLOCK_MONOTONIC);
		}
	}
	if (fflush(stdout) != 0)
		_exit(1);
	/* Leaving a group that nobody else is in is not worth waiting for. */
	_exit(0);
}
