/*-------------------------------------------------------------------------
 *
 * mock_kafka.c
 *	  librdkafka's mock cluster as a program: Kafka for tests, without Kafka.
 *
 * A process of its own, so that what it has stored survives the PostgreSQL
 * under test.  It prints its bootstrap address, then obeys the lines that it
 * reads from stdin and answers each with "ok", with "reset" also how many, or
 * with "error: why":
 *
 *		down BROKER							drop connections, refuse new ones
 *		up BROKER
 *		reset								reset every connection (RST)
 *		rtt BROKER MS						delay of every answer
 *		topic NAME PARTITIONS				create a topic
 *		leader TOPIC PARTITION BROKER		move a partition; -1: no leader
 *		refuse TOPIC CODE					error code of a topic; 0: none
 *		error APIKEY CODE [COUNT]			error of the next COUNT requests
 *		quit								so does the end of stdin
 *
 * Usage: mock_kafka [BROKERS]
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define MAX_ERRORS 1000

/* Push the same error "count" times for the requests of one kind. */
static rd_kafka_resp_err_t
push_errors(rd_kafka_mock_cluster_t *cluster, int api_key, int code, int count)
{
	rd_kafka_resp_err_t errors[MAX_ERRORS];

	if (count < 1 || count > MAX_ERRORS)
		return RD_KAFKA_RESP_ERR__INVALID_ARG;
	for (int i = 0; i < count; i++)
		errors[i] = (rd_kafka_resp_err_t) code;
	rd_kafka_mock_push_request_errors_array(cluster, (int16_t) api_key,
											(size_t) count, errors);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * Reset the connections that clients have; returns how many.  Every TCP
 * socket of this process that has a peer is one.  The cluster's thread finds
 * them broken, and closes them.
 */
static int
reset_connections(void)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct rlimit limit;
	int			count = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 0; fd < (int) limit.rlim_cur && fd < 10000; fd++)
	{
		struct sockaddr_in peer;
		socklen_t	size = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *) &peer, &size) == 0 &&
			peer.sin_family == AF_INET && connect(fd, &nobody, sizeof(nobody)) == 0)
			count++;
	}
	return count;
}

static rd_kafka_resp_err_t
obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	char		topic[256];
	int			a;
	int			b;
	int			count = 1;

	if (sscanf(line, "down %d", &a) == 1)
		return rd_kafka_mock_broker_set_down(cluster, a);
	if (sscanf(line, "up %d", &a) == 1)
		return rd_kafka_mock_broker_set_up(cluster, a);
	if (sscanf(line, "rtt %d %d", &a, &b) == 2)
		return rd_kafka_mock_broker_set_rtt(cluster, a, b);
	if (sscanf(line, "topic %255s %d", topic, &a) == 2)
		return rd_kafka_mock_topic_create(cluster, topic, a, 1);
	if (sscanf(line, "leader %255s %d %d", topic, &a, &b) == 3)
		return rd_kafka_mock_partition_set_leader(cluster, topic, a, b);
	if (sscanf(line, "refuse %255s %d", topic, &a) == 2)
	{
		rd_kafka_mock_topic_set_error(cluster, topic, (rd_kafka_resp_err_t) a);
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	if (sscanf(line, "error %d %d %d", &a, &b, &count) >= 2)
		return push_errors(cluster, a, b, count);
	return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

int
main(int argc, char **argv)
{
	int			brokers = argc > 1 ? atoi(argv[1]) : 1;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *client;
	rd_kafka_mock_cluster_t *cluster;
	char		error[512];
	char		line[1024];

	/* The client only carries the cluster; that it has no broker is no news. */
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (client == NULL)
	{
		fprintf(stderr, "mock_kafka: %s\n", error);
		return 1;
	}
	cluster = rd_kafka_mock_cluster_new(client, brokers);
	if (cluster == NULL)
	{
		fprintf(stderr, "mock_kafka: could not create the cluster\n");
		return 1;
	}

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));

	while (fgets(line, sizeof(line), stdin) != NULL &&
		   strncmp(line, "quit", 4) != 0)
	{
		rd_kafka_resp_err_t result;

		if (strcmp(line, "reset\n") == 0)
		{
			printf("ok %d\n", reset_connections());
			continue;
		}
		result = obey(cluster, line);
		if (result == RD_KAFKA_RESP_ERR_NO_ERROR)
			printf("ok\n");
		else
			printf("error: %s\n", rd_kafka_err2str(result));
	}

	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(client);
	return 0;
}
