/*-------------------------------------------------------------------------
 *
 * latency.c
 *	  From COMMIT's return to a consumer: how long does a message take?
 *
 *	latency CONNINFO BROKERS TOPIC RATE COUNT send|insert|bare ISOLATION
 *
 * Sends COUNT messages at RATE a second, each in a transaction of its own,
 * with eventuate_send() or a plain INSERT; "bare" produces the same records
 * with librdkafka alone, as the yardstick.  A thread consumes the topic with
 * fetch.wait.max.ms=2 and isolation.level=ISOLATION.  Prints percentiles in ms.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double *sent;
static double *arrived;
static int	count;
static int	received = 0;
static atomic_int ready = 0;
static const char *brokers;
static const char *topic;
static const char *isolation;

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void
sleep_until(double ms)
{
	double		left = ms - now_ms();

	if (left > 0)
	{
		struct timespec ts = {(time_t) (left / 1e3),
			(long) ((left - (long) (left / 1e3) * 1e3) * 1e6)};

		nanosleep(&ts, NULL);
	}
}

static rd_kafka_conf_t *
make_conf(const char *const *properties)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		error[512];

	rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
	for (; *properties != NULL; properties += 2)
	{
		if (rd_kafka_conf_set(conf, properties[0], properties[1], error, sizeof(error)) != RD_KAFKA_CONF_OK)
		{
			fprintf(stderr, "%s\n", error);
			exit(1);
		}
	}
	return conf;
}

/* Notes when message "seq=N;" arrives. */
static void *
consume(void *arg)
{
	const char *const properties[] = {"group.id", "latency", "fetch.wait.max.ms", "2",
	"isolation.level", isolation, NULL};
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, make_conf(properties), NULL, 0);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	(void) arg;
	rd_kafka_poll_set_consumer(rk);
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, list);
	while (received < count)
	{
		rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 1000);
		const char *seq;

		if (message == NULL || message->err)
			continue;
		seq = memmem(message->payload, message->len, "seq=", 4);
		if (seq == NULL)
			ready = 1;
		else
		{
			arrived[atoi(seq + 4)] = now_ms();
			received++;
		}
		rd_kafka_message_destroy(message);
	}
	return NULL;
}

static void
check(PGconn *connection, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(connection));
		exit(1);
	}
	PQclear(result);
}

static void
send_message(PGconn *connection, rd_kafka_t *producer, const char *payload)
{
	if (connection != NULL)
	{
		check(connection, PQexecPrepared(connection, "m", 1, &payload, NULL, NULL, 0));
		return;
	}
	rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE((void *) payload, strlen(payload)),
					  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	rd_kafka_poll(producer, 0);
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	static const char *const properties[] = {"enable.idempotence", "true", "linger.ms", "0", NULL};
	PGconn	   *connection = NULL;
	rd_kafka_t *producer = NULL;
	pthread_t	consumer;
	char		query[1024];
	char		payload[512];
	double		start;
	double		rate;

	if (argc != 8)
		return 2;
	brokers = argv[2];
	topic = argv[3];
	isolation = argv[7];
	rate = atof(argv[4]);
	count = atoi(argv[5]);
	sent = calloc(count, sizeof(double));
	arrived = calloc(count, sizeof(double));

	if (strcmp(argv[6], "bare") == 0)
		producer = rd_kafka_new(RD_KAFKA_PRODUCER, make_conf(properties), NULL, 0);
	else
	{
		connection = PQconnectdb(argv[1]);
		if (strcmp(argv[6], "send") == 0)
			snprintf(query, sizeof(query), "SELECT eventuate_send('%s', $1::text, '42', '{\"type\": \"OrderCreated\"}')", topic);
		else
			snprintf(query, sizeof(query),
					 "INSERT INTO eventuate.message (id, destination, headers, payload, published)"
					 " SELECT i, '%s', '{\"type\":\"OrderCreated\",\"PARTITION_ID\":\"42\",\"DATE\":\"Sun, 22 Nov 2026 23:00:00 GMT\","
					 "\"DESTINATION\":\"%s\",\"ID\":\"' || i || '\"}', $1, 0 FROM eventuate.next_id() AS i", topic, topic);
		check(connection, PQprepare(connection, "m", query, 0, NULL));
	}

	pthread_create(&consumer, NULL, consume, NULL);
	while (!ready)
	{
		send_message(connection, producer, "warm up");
		sleep_until(now_ms() + 100);
	}
	start = now_ms();
	for (int i = 0; i < count; i++)
	{
		sleep_until(start + i * 1000 / rate);
		snprintf(payload, sizeof(payload), "{\"seq\": \"seq=%d;\", \"note\": \"%0270d\"}", i, 0);
		if (producer != NULL)
			sent[i] = now_ms();
		send_message(connection, producer, payload);
		if (producer == NULL)
			sent[i] = now_ms();
	}
	pthread_join(consumer, NULL);
	for (int i = 0; i < count; i++)
		arrived[i] -= sent[i];
	qsort(arrived, count, sizeof(double), compare);
	printf("p50=%.2f p95=%.2f p99=%.2f max=%.2f\n",
		   arrived[count / 2], arrived[count * 95 / 100], arrived[count * 99 / 100], arrived[count - 1]);
	return 0;
}
