/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  librdkafka alone: how fast does it bring the same records to Kafka?
 *
 *	produce BROKERS TOPIC COUNT [CODEC]
 *
 * The records are those that eventuate makes of the messages in bench/, with
 * keys 1 to 1000.  Ends when Kafka has acknowledged all of them.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int	failed = 0;

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void) rk;
	(void) opaque;
	failed += message->err != 0;
}

static rd_kafka_t *
make_producer(const char *brokers, const char *codec)
{
	const char *const properties[][2] = {
		{"bootstrap.servers", brokers},
		{"enable.idempotence", "true"},
		{"compression.codec", codec},
		{"linger.ms", "5"},
		{"partitioner", "murmur2_random"},
		{"queue.buffering.max.messages", "100000"}
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		error[512];
	rd_kafka_t *producer;

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
	{
		if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error, sizeof(error)) != RD_KAFKA_CONF_OK)
		{
			fprintf(stderr, "%s\n", error);
			exit(1);
		}
	}
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (producer == NULL)
	{
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	return producer;
}

int
main(int argc, char **argv)
{
	rd_kafka_t *producer;
	rd_kafka_topic_t *topic;
	char		note[289];
	char		value[1024];
	char		key[16];
	int			count;

	if (argc != 4 && argc != 5)
		return 2;
	producer = make_producer(argv[1], argc == 5 ? argv[4] : "none");
	topic = rd_kafka_topic_new(producer, argv[2], NULL);
	count = atoi(argv[3]);
	memset(note, 'x', 288);
	note[288] = '\0';

	for (int i = 0; i < count; i++)
	{
		int			key_length = snprintf(key, sizeof(key), "%d", rand() % 1000 + 1);
		int			length = snprintf(value, sizeof(value),
									  "{\"payload\":\"{\\\"note\\\": \\\"%s\\\"}\",\"headers\":{\"type\":\"OrderCreated\",\"PARTITION_ID\":\"%s\","
									  "\"DATE\":\"Sun, 22 Nov 2026 23:00:00 GMT\",\"DESTINATION\":\"%s\",\"ID\":\"0000019f2c3d4e5f-%016x-00\"}}",
									  note, key, argv[2], i);

		while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, length, key, key_length, NULL) != 0)
			rd_kafka_poll(producer, 10);
		if (i % 100 == 0)
			rd_kafka_poll(producer, 0);
	}
	while (rd_kafka_flush(producer, 60000) != 0)
		;
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(producer);
	return failed != 0;
}
