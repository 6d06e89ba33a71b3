/*-------------------------------------------------------------------------
 *
 * torture_client.c
 *	  The programs of the torture checker (t/Torture.pm): one that sends, one
 *	  that looks at the statistics, one that reads the topics back.
 *
 *	torture_client send CONNINFO CLIENT SEED PAUSE
 *		Transactions of every kind, PAUSE ms apart on average, until SIGTERM.
 *		One line on stdout for each, when its end is known:
 *			C client transaction order		COMMIT was answered
 *			U client transaction order		it was not, or promised little:
 *											the table "truth" knows
 *			A client transaction order		it cannot have committed
 *			E client transaction message	an error that nobody provoked
 *
 *	torture_client sample CONNINFO
 *		Every 20 ms a line: time in ms, state, pid, in_flight, unconfirmed,
 *		messages, stored snapshot; tabs between them.
 *
 *	torture_client read BROKERS PARTITIONS TOPIC...
 *		Every record until stdin ends, and then up to the ends of the
 *		partitions: topic's number, partition, offset, timestamp, key, client,
 *		transaction, number in the transaction, turn, a hash of the message's
 *		id or 0, and 1 if the record is what was sent; blanks between them.
 *
 * A payload names itself: "T.client.transaction.number.turn.length.filler",
 * the filler being random but known.  Records that are rolled back to a
 * savepoint have numbers from UNDONE; a transaction that commits leaves its
 * count of records in "truth".
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define UNDONE 900000
#define KEYS 4
#define MAX_TOPICS 16
#define MAX_PARTITIONS 16

static volatile sig_atomic_t stopping = 0;

static void
stop(int signal_number)
{
	(void) signal_number;
	stopping = 1;
}

static double
now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void
sleep_ms(double ms)
{
	struct timespec ts = {(time_t) (ms / 1e3), (long) (ms * 1e6) % 1000000000};

	nanosleep(&ts, NULL);
}

/* ---------------------------------------------------------------------
 * Random numbers and payloads
 * ---------------------------------------------------------------------
 */
static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t random_state;

/* From 0 to below limit. */
static int
below(int limit)
{
	random_state++;
	return (int) (mix(random_state) % (uint64_t) limit);
}

static bool
percent(int chance)
{
	return below(100) < chance;
}

static void
fill(char *filler, int length, int client, int transaction, int number)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint64_t	state = mix(((uint64_t) client << 56) ^ ((uint64_t) transaction << 24) ^ (uint64_t) number);

	for (int i = 0; i < length; i++)
	{
		if (i % 10 == 0)
			state = mix(state);
		filler[i] = letters[(state >> (6 * (i % 10))) & 63];
	}
}

/* ---------------------------------------------------------------------
 * Strings that grow
 * ---------------------------------------------------------------------
 */
typedef struct Text
{
	char	   *data;
	size_t		length;
	size_t		size;
} Text;

static void
reserve(Text *text, size_t more)
{
	if (text->length + more + 1 > text->size)
	{
		text->size = (text->length + more + 1) * 2;
		text->data = realloc(text->data, text->size);
	}
}

static void
append(Text *text, const char *format,...)
{
	va_list		args;

	reserve(text, 500);
	va_start(args, format);
	text->length += vsnprintf(text->data + text->length, 500, format, args);
	va_end(args);
}

/* ---------------------------------------------------------------------
 * Sending
 * ---------------------------------------------------------------------
 */
typedef enum Style
{
	SEND,						/* eventuate_send() */
	PRODUCE,					/* eventuate_produce() */
	INSERT,						/* INSERT INTO eventuate.message */
	TRAM						/* the same with ids of one's own */
}			Style;

static const char *const statements[] = {
	[SEND] = "SELECT count(eventuate_send(topic, payload, key))"
	" FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key)",
	[PRODUCE] = "SELECT count(eventuate_produce(topic, payload, key))"
	" FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key)",
	[INSERT] = "INSERT INTO eventuate.message (id, destination, headers, payload, published, creation_time)"
	" SELECT id, topic, '{\"PARTITION_ID\":\"' || key || '\",\"ID\":\"' || id || '\"}', payload, 0, 1"
	" FROM (SELECT eventuate.next_id() AS id, * FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key) OFFSET 0) AS r",
	[TRAM] = "INSERT INTO eventuate.message (id, destination, headers, payload, published, creation_time)"
	" SELECT id, topic, '{\"PARTITION_ID\":\"' || key || '\",\"ID\":\"' || id || '\"}', payload, 0, 1"
	" FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u(topic, payload, key, id)",
};

/* The whole transaction in one statement. */
static const char *const alone =
"INSERT INTO truth (client, transaction, records)"
" SELECT $4::int, $5::int, count(eventuate_send(topic, payload, key))"
" FROM unnest($1::text[], $2::text[], $3::text[]) AS u(topic, payload, key)";

static const char *conninfo;
static int	me;
static PGconn * connection = NULL;
static int	last_number = 0;	/* counts transactions and late commits */

/* The transaction at work. */
static int	transaction;
static int	records;
static long turn;

/* A prepared transaction that is left open over others; 0: none. */
static int	held = 0;
static bool held_commits;
static int	held_for;

static void
note(char outcome, int number, int order)
{
	printf("%c %d %d %d\n", outcome, me, number, order);
	fflush(stdout);
}

static bool
lost_connection(void)
{
	return PQstatus(connection) != CONNECTION_OK;
}

/* True if it worked.  An error on a connection that lives is news. */
static bool
done(PGresult * result)
{
	ExecStatusType status = PQresultStatus(result);
	bool		good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!good && !lost_connection())
	{
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		char	   *message = strdup(PQerrorMessage(connection));

		/* 57P0x: the server or somebody ends this session. */
		if (state == NULL || strncmp(state, "57P0", 4) != 0)
		{
			for (char *c = message; *c != '\0'; c++)
				*c = *c == '\n' ? ' ' : *c;
			printf("E %d %d %s\n", me, transaction, message);
			fflush(stdout);
		}
		free(message);
	}
	PQclear(result);
	return good;
}

static bool
run(const char *format,...)
{
	char		query[500];
	va_list		args;

	va_start(args, format);
	vsnprintf(query, sizeof(query), format, args);
	va_end(args);
	return done(PQexec(connection, query));
}

static bool
is_prepared(int number, bool *prepared)
{
	char		query[200];
	PGresult   *result;
	bool		known;

	snprintf(query, sizeof(query), "SELECT FROM pg_prepared_xacts WHERE gid = 't%d.%d'", me, number);
	result = PQexec(connection, query);
	known = PQresultStatus(result) == PGRES_TUPLES_OK;
	*prepared = known && PQntuples(result) > 0;
	return done(result) && known;
}

/* The server may be down for a while. */
static void
connect_again(void)
{
	for (;;)
	{
		if (connection != NULL)
			PQfinish(connection);
		connection = PQconnectdb(conninfo);
		if (!lost_connection() &&
			PQresultStatus(PQexec(connection, "SET client_min_messages = error")) == PGRES_COMMAND_OK)
			return;
		sleep_ms(20);
	}
}

/* Ends a prepared transaction, however often the connection is lost. */
static void
finish_prepared(int number, bool commit)
{
	int			order = ++last_number;
	bool		prepared;

	for (;;)
	{
		if (run("%s PREPARED 't%d.%d'", commit ? "COMMIT" : "ROLLBACK", me, number))
		{
			note(commit ? 'C' : 'A', number, order);
			return;
		}
		do
		{
			if (lost_connection())
				connect_again();
		} while (!is_prepared(number, &prepared));
		if (!prepared)
			break;
	}
	note(commit ? 'U' : 'A', number, order);
}

static void
append_payload(Text *text, int number, int length)
{
	append(text, "T.%d.%d.%d.%ld.%d.", me, transaction, number, turn, length);
	reserve(text, length);
	fill(text->data + text->length, length, me, transaction, number);
	text->length += length;
	text->data[text->length] = '\0';
}

static int
random_length(int count)
{
	int			kind = below(1000);

	if (kind < 700 || count > 200)
		return below(200);
	if (kind < 950)
		return below(2000);
	if (kind < 995)
		return 2000 + below(8000);
	return 10000 + below(150000);
}

/* An id as Java's producers make it, from the clock. */
static void
append_id(Text *text)
{
	static uint64_t last = 0;
	static int	counter = 0;
	uint64_t	now = (uint64_t) now_ms(CLOCK_REALTIME);

	if (now > last)
	{
		last = now;
		counter = 0;
	}
	else if (++counter == 65536)
	{
		last++;
		counter = 0;
	}
	append(text, "%016lx-0242ac1100%02x%04x", (unsigned long) last, me, counter);
}

/* One statement that sends "count" records, the first with this number. */
static bool
send_rows(Style style, const char *statement, int first, int count)
{
	static Text topics;
	static Text payloads;
	static Text keys;
	static Text ids;
	char		client_text[20];
	char		transaction_text[20];
	bool		is_alone = statement == alone;

	topics.length = payloads.length = keys.length = ids.length = 0;
	for (int i = 0; i < count; i++)
	{
		char		before = i == 0 ? '{' : ',';
		int			key = below(KEYS);

		if (turn > 0)
		{
			append(&topics, "%ctorture.0", before);
			append(&keys, "%cturn", before);
		}
		else if (style == TRAM)
		{
			append(&topics, "%ctorture.1", before);
			append(&keys, "%c%d.tram", before, me);
		}
		else
		{
			append(&topics, "%ctorture.%d", before, key % 3);
			append(&keys, "%c%d.%d", before, me, key);
		}
		append(&payloads, "%c", before);
		append_payload(&payloads, first + i, random_length(count));
		append(&ids, "%c", before);
		if (style == TRAM)
			append_id(&ids);
	}
	append(&topics, "}");
	append(&payloads, "}");
	append(&keys, "}");
	append(&ids, "}");
	snprintf(client_text, sizeof(client_text), "%d", me);
	snprintf(transaction_text, sizeof(transaction_text), "%d", transaction);
	{
		const char *values[] = {topics.data, payloads.data, keys.data,
		is_alone ? client_text : ids.data, transaction_text};

		return done(PQexecParams(connection, statement, is_alone ? 5 : style == TRAM ? 4 : 3,
								 NULL, values, NULL, NULL, 0));
	}
}

static int
random_records(void)
{
	int			kind = below(1000);

	if (kind < 900)
		return 1 + below(6);
	if (kind < 980)
		return 1 + below(60);
	if (kind < 997)
		return 1 + below(600);
	return 1 + below(5000);
}

/* The records of a transaction, in pieces, with savepoints. */
static bool
send_pieces(void)
{
	int			count = random_records();
	int			pieces = percent(50) ? 1 : 1 + below(4);
	Style		style = (Style) below(3);
	bool		tram = turn == 0 && percent(15);

	for (int piece = 0; piece < pieces && records < count; piece++)
	{
		int			left = count - records;
		int			now = piece == pieces - 1 ? left : 1 + below(left);
		bool		savepoint = percent(25);

		if (percent(30))
			style = (Style) below(3);
		if (tram)
			style = TRAM;
		if (percent(10))
		{
			/* What is sent here never was. */
			if (!run("SAVEPOINT undone") ||
				!send_rows(style, statements[style], UNDONE + 100 * piece, 1 + below(5)) ||
				!run("ROLLBACK TO undone"))
				return false;
		}
		if (savepoint && !run("SAVEPOINT s"))
			return false;
		if (!send_rows(style, statements[style], records, now))
			return false;
		records += now;
		if (savepoint && percent(70) && !run("RELEASE s"))
			return false;
	}
	return run("INSERT INTO truth VALUES (%d, %d, %d, %ld)", me, transaction, records, turn);
}

/* Waits for its turn: a lock that the transaction holds up to its end. */
static bool
take_turn(void)
{
	PGresult   *result = PQexec(connection, "UPDATE turn SET n = n + 1 RETURNING n");

	if (PQntuples(result) == 1)
		turn = atol(PQgetvalue(result, 0, 0));
	return done(result) && turn > 0;
}

static void
commit_it(bool asynchronous)
{
	PGresult   *result = PQexec(connection, "COMMIT");
	bool		rolled_back = PQresultStatus(result) == PGRES_COMMAND_OK &&
	strcmp(PQcmdStatus(result), "COMMIT") != 0;
	bool		answered = done(result) && !rolled_back;

	note(rolled_back ? 'A' : answered && !asynchronous ? 'C' : 'U', transaction, transaction);
}

/* PREPARE TRANSACTION; then at once, or over some others, its end. */
static void
prepare_it(bool commit, bool hold)
{
	bool		prepared = true;

	if (!run("PREPARE TRANSACTION 't%d.%d'", me, transaction))
	{
		do
		{
			if (lost_connection())
				connect_again();
		} while (!is_prepared(transaction, &prepared));
	}
	if (!prepared)
		note('A', transaction, transaction);
	else if (hold)
	{
		held = transaction;
		held_commits = commit;
		held_for = 1 + below(20);
	}
	else
		finish_prepared(transaction, commit);
}

static void
end_held(void)
{
	finish_prepared(held, held_commits);
	held = 0;
}

static void
send_alone(void)
{
	bool		good = send_rows(SEND, alone, 0, 1 + below(3));

	note(good ? 'C' : 'U', transaction, transaction);
}

static void
send_transaction(void)
{
	int			fate = below(100);
	bool		asynchronous = percent(25);
	bool		turns;

	transaction = ++last_number;
	records = 0;
	turn = 0;
	if (percent(15))
	{
		send_alone();
		return;
	}
	/* Nobody waits for a lock that outlives its session. */
	turns = fate < 90 && percent(15);
	if (!run("BEGIN") ||
		(asynchronous && !run("SET LOCAL synchronous_commit = off")) ||
		(turns && !take_turn()) ||
		!send_pieces())
	{
		if (!lost_connection())
			run("ROLLBACK");
		note('A', transaction, transaction);
	}
	else if (fate < 80)
		commit_it(asynchronous);
	else if (fate < 90)
	{
		run("ROLLBACK");
		note('A', transaction, transaction);
	}
	else
		prepare_it(fate < 97, held == 0 && percent(50));
}

static int
send_until_stopped(int argc, char **argv)
{
	double		pause;

	if (argc != 6)
		return 2;
	conninfo = argv[2];
	me = atoi(argv[3]);
	random_state = mix(strtoull(argv[4], NULL, 10) * 1000 + me);
	pause = atof(argv[5]);
	connect_again();
	while (!stopping)
	{
		send_transaction();
		if (lost_connection())
			connect_again();
		if (held != 0 && held_for-- == 0)
			end_held();
		/* Mostly short, sometimes long. */
		sleep_ms(percent(20) ? pause * 4 * below(100) / 100 : pause * below(150) / 100);
	}
	if (held != 0)
		end_held();
	PQfinish(connection);
	return 0;
}

/* ---------------------------------------------------------------------
 * Looking
 * ---------------------------------------------------------------------
 */
static int
sample_until_stopped(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	conninfo = argv[2];
	while (!stopping)
	{
		double		before;
		PGresult   *result;

		if (connection == NULL)
			connection = PQconnectdb(conninfo);
		before = now_ms(CLOCK_REALTIME);
		result = PQexec(connection,
						"SELECT state, coalesce(pid, 0), in_flight, unconfirmed, messages, snapshot, coalesce(last_error, '')"
						" FROM pg_stat_eventuate, eventuate.progress WHERE datname = current_database()");
		if (PQntuples(result) == 1)
		{
			printf("%.0f", before);
			for (int i = 0; i < 7; i++)
				printf("\t%s", PQgetvalue(result, 0, i));
			printf("\n");
			fflush(stdout);
		}
		PQclear(result);
		if (lost_connection())
		{
			PQfinish(connection);
			connection = NULL;
		}
		sleep_ms(20);
	}
	return 0;
}

/* ---------------------------------------------------------------------
 * Reading back
 * ---------------------------------------------------------------------
 */
static int64_t position[MAX_TOPICS][MAX_PARTITIONS];

static uint32_t
hash(const char *data, size_t length)
{
	uint32_t	h = 2166136261u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char) data[i]) * 16777619u;
	return h == 0 ? 1 : h;
}

/* The hash of a message's id in its envelope; 0: it is a bare record. */
static uint32_t
hash_id(const char *value, size_t length)
{
	static const char name[] = "\"ID\":\"";
	const char *id = memmem(value, length, name, strlen(name));
	const char *end = id ? memchr(id + strlen(name), '"', value + length - id - strlen(name)) : NULL;

	if (value[0] != '{' || end == NULL)
		return 0;
	id += strlen(name);
	return hash(id, end - id);
}

/* Is this the value of such a record, to the last byte of its payload? */
static bool
intact(const char *filler, const char *end, int length, int client, int transaction_number, int number, bool message)
{
	char	   *expected;
	bool		same;

	if (length < 0 || end - filler < length)
		return false;
	expected = malloc(length + 1);
	fill(expected, length, client, transaction_number, number);
	same = memcmp(filler, expected, length) == 0;
	free(expected);
	filler += length;
	if (!message)
		return same && filler == end;
	return same && end - filler > 2 && memcmp(filler, "\",\"headers\":{", 13) == 0 && end[-1] == '}';
}

static void
print_record(int topic, const rd_kafka_message_t *record)
{
	static const char envelope[] = "{\"payload\":\"";
	const char *value = record->payload ? record->payload : "";
	const char *end = value + record->len;
	bool		message = record->len > strlen(envelope) && memcmp(value, envelope, strlen(envelope)) == 0;
	const char *payload = message ? value + strlen(envelope) : value;
	char		start[200];
	size_t		length = end - payload < 199 ? end - payload : 199;
	int			client = -1;
	int			number = 0;
	int			n = 0;
	long		its_turn = 0;
	int			filler = 0;
	int			filler_length = 0;
	bool		good;

	memcpy(start, payload, length);
	start[length] = '\0';
	good = sscanf(start, "T.%d.%d.%d.%ld.%d.%n", &client, &number, &n, &its_turn, &filler_length, &filler) == 5 && filler > 0;
	if (!good)
		client = -1;
	good = good && intact(payload + filler, end, filler_length, client, number, n, message);
	printf("%d %d %ld %ld %.*s %d %d %d %ld %u %d\n", topic, record->partition,
		   (long) record->offset, (long) rd_kafka_message_timestamp(record, NULL),
		   record->key_len > 0 ? (int) record->key_len : 1, record->key_len > 0 ? (char *) record->key : "-",
		   client, number, n, its_turn, message ? hash_id(value, record->len) : 0, good);
}

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

static int
read_topics(int argc, char **argv)
{
	static const char *const properties[][2] = {
		{"group.id", "torture"}, {"fetch.wait.max.ms", "20"}, {"enable.auto.commit", "false"},
		{"auto.offset.reset", "error"}, {"reconnect.backoff.max.ms", "500"}, {"log_level", "2"},
		{"topic.metadata.refresh.interval.ms", "1000"}, {"check.crcs", "true"},
		{"topic.metadata.propagation.max.ms", "0"}
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_t *consumer;
	int			partitions;
	int			topics;
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
			for (int t = 0; record->err == 0 && t < topics; t++)
			{
				if (strcmp(rd_kafka_topic_name(record->rkt), argv[4 + t]) != 0)
					continue;
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

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "send") == 0)
		return send_until_stopped(argc, argv);
	if (argc > 1 && strcmp(argv[1], "sample") == 0)
		return sample_until_stopped(argc, argv);
	if (argc > 1 && strcmp(argv[1], "read") == 0)
		return read_topics(argc, argv);
	fprintf(stderr, "torture_client: see the head of t/torture_client.c\n");
	return 2;
}
