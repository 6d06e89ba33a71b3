/*-------------------------------------------------------------------------
 *
 * producer.c
 *	  The librdkafka producer: records out, delivery reports in.
 *
 * This file owns the one producer that a publisher process has.  librdkafka
 * works in threads of its own, which must never touch PostgreSQL: they block
 * all signals, there are no callbacks (but see producer_refusal.c and
 * producer_tally.c), and everything they have to say comes as an event, which
 * we fetch on the main thread (producer_events.c).  A pipe becomes readable
 * when there are events; nothing here waits but ev_producer_push(), for 1 ms.
 *
 * What it promises: a record for which ev_producer_send() said QUEUED gets
 * exactly one delivery report, unless the producer turns fatal or is closed
 * before; with transactions it gets none if it is stored, and is counted
 * (producer_tally.c).  Records of one partition are stored in the order in
 * which they were sent.  A report with delivered = false is Kafka's last word
 * on the record, unless it is undecided: then it should be sent again, and may
 * come twice.
 *
 * After a restart of the process there is a new producer with nothing in it.
 * What the old one had not yet reported is still in the WAL.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "kafka_rules.h"
#include "producer.h"
#include "producer_events.h"
#include "producer_group.h"
#include "producer_refusal.h"
#include "producer_tally.h"
#include "producer_transaction.h"
#include "producer_watch.h"

/* Handles of topics that are kept; more are too rare to be worth memory. */
#define MAX_TOPICS 1000

typedef struct Topic
{
	char		name[EV_TOPIC_MAX_LENGTH + 1];	/* hash key */
	rd_kafka_topic_t *handle;
} Topic;

/* The producer; rk == NULL: there is none. */
static rd_kafka_t *rk = NULL;
static rd_kafka_queue_t *events = NULL;
static HTAB *topics = NULL;
static const Topic *newest_topic = NULL;	/* of the last record; NULL: none */
static int	wake_pipe[2] = {-1, -1};

/* With transactions senders keep what they have sent, until these end. */
static int	message_flags = RD_KAFKA_MSG_F_COPY;

/* How often the pipe was found to be readable. */
static uint64 wakes = 0;

/* Is linger.ms what we have set ourselves? */
static bool may_push = false;

/* ----------
 * Opening and closing
 * ----------
 */

/*
 * rd_kafka_new() with all signals blocked, so that no thread it starts, and
 * no library that it loads for authentication, can take one of ours.
 */
static rd_kafka_t *
new_producer(rd_kafka_conf_t *conf, char *error, size_t error_size)
{
	sigset_t	all;
	sigset_t	previous;
	rd_kafka_t *producer;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &previous);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, error_size);
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	return producer;
}

static void
close_pipe(void)
{
	for (int i = 0; i < 2; i++)
	{
		if (wake_pipe[i] >= 0)
			close(wake_pipe[i]);
		wake_pipe[i] = -1;
	}
}

static void
create_topics(void)
{
	HASHCTL		info = {0};

	info.keysize = sizeof(((Topic *) NULL)->name);
	info.entrysize = sizeof(Topic);
	info.hcxt = TopMemoryContext;
	topics = hash_create("eventuate topics", 64, &info,
						 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static bool
has_transactions(const rd_kafka_conf_t *conf)
{
	size_t		size = 0;

	return rd_kafka_conf_get(conf, "transactional.id", NULL, &size) == RD_KAFKA_CONF_OK &&
		size > 1;
}

static bool
has_our_linger(const rd_kafka_conf_t *conf)
{
	char		value[32];
	size_t		size = sizeof(value);

	return rd_kafka_conf_get(conf, "linger.ms", value, &size) == RD_KAFKA_CONF_OK &&
		strcmp(value, EV_LINGER) == 0;
}

/*
 * Open the producer.  The conf is ours from here on, also if this throws.
 * To be called in the process that uses it, and closed before it is opened
 * again.  False: librdkafka makes none of this conf; *error is why, palloc'd.
 */
bool
ev_producer_open(struct rd_kafka_conf_s *conf, char **error)
{
	char		text[512] = "";
	rd_kafka_conf_t *reader_conf;

	Assert(rk == NULL);

	/* A pipe that blocks would stop a librdkafka thread that holds locks. */
	if (pipe2(wake_pipe, O_NONBLOCK | O_CLOEXEC) != 0)
	{
		rd_kafka_conf_destroy(conf);
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create pipe: %m")));
	}

	may_push = has_our_linger(conf) && !has_transactions(conf);
	reader_conf = has_transactions(conf) ? rd_kafka_conf_dup(conf) : NULL;
	if (reader_conf == NULL)
		ev_producer_refusal_watch(conf, wake_pipe[1]);
	else if (!ev_producer_tally_watch(conf))
		elog(ERROR, "librdkafka does not take what counts reports");
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR |
							 RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
	rk = new_producer(conf, text, sizeof(text));
	if (rk == NULL)
	{
		/*
		 * Of a conf with interceptors librdkafka has freed a part, which
		 * destroying it would free again: it stays.
		 */
		if (reader_conf != NULL)
			rd_kafka_conf_destroy(reader_conf);
		close_pipe();
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__INVALID_ARG)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not start the Kafka producer: %s", text)));
		*error = pstrdup(text);
		return false;
	}

	rd_kafka_set_log_queue(rk, NULL);
	events = rd_kafka_queue_get_main(rk);
	rd_kafka_queue_io_event_enable(events, wake_pipe[1], "e", 1);

	ev_producer_watch_start(rk);
	create_topics();
	ev_producer_group_open(reader_conf != NULL, wake_pipe[1]);
	if (reader_conf != NULL)
	{
		message_flags = 0;
		if (!ev_producer_transactions_open(rk, reader_conf, wake_pipe[1]))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not start a thread for Kafka's transactions")));
	}
	return true;
}

/* Becomes readable when ev_producer_poll() has something to do. */
int
ev_producer_fd(void)
{
	return wake_pipe[0];
}

/* Let go of all topics' handles; records under way hold their own. */
static void
forget_topics(void)
{
	HASH_SEQ_STATUS scan;
	Topic	   *topic;

	hash_seq_init(&scan, topics);
	while ((topic = hash_seq_search(&scan)) != NULL)
		rd_kafka_topic_destroy(topic->handle);
	hash_destroy(topics);
	topics = NULL;
	newest_topic = NULL;
}

/*
 * Close the producer, if there is one, with whatever it still has.  It may
 * take as long as a name server lets librdkafka wait, so at exit this comes
 * last of all.  False: a thread of ours is inside of librdkafka, and nothing
 * is closed; the process may only end, without what exit() calls.
 */
bool
ev_producer_close(void)
{
	if (rk == NULL)
		return true;
	if (!ev_producer_transactions_close())
		return false;

	ev_producer_refusal_end();
	ev_producer_watch_start(NULL);
	if (topics != NULL)
		forget_topics();
	rd_kafka_queue_destroy(events);
	events = NULL;
	rd_kafka_destroy(rk);
	rk = NULL;
	close_pipe();
	return true;
}

/* ----------
 * Records out
 * ----------
 */

/*
 * A topic, with librdkafka's handle; NULL: rd_kafka_last_error() says why not.
 * Looking a topic up by name in librdkafka for each record costs a lock and a
 * list; so the handles are kept.  When there are too many, all go: what is in
 * use comes back with the next record.
 */
static const Topic *
find_topic(const char *name)
{
	Topic	   *topic = hash_search(topics, name, HASH_FIND, NULL);
	rd_kafka_topic_t *handle;

	if (topic != NULL)
		return topic;

	if (hash_get_num_entries(topics) >= MAX_TOPICS)
	{
		forget_topics();
		create_topics();
	}

	/* Only what exists is entered, so that no error leaves half an entry. */
	handle = rd_kafka_topic_new(rk, name, NULL);
	if (handle == NULL)
		return NULL;
	topic = hash_search(topics, name, HASH_ENTER, NULL);
	topic->handle = handle;
	return topic;
}

static inline bool
is_newest_topic(const char *name)
{
	return newest_topic != NULL && strcmp(newest_topic->name, name) == 0;
}

/* Sets newest_topic, which mostly is that already. */
static rd_kafka_resp_err_t
choose_topic(const char *name)
{
	if (likely(is_newest_topic(name)))
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	if (name[0] == '\0' || strlen(name) > EV_TOPIC_MAX_LENGTH)
		return RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
	newest_topic = find_topic(name);
	return newest_topic != NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
}

/* The headers as librdkafka wants them; NULL: none. */
static rd_kafka_headers_t *
make_headers(const EvMessage *message)
{
	rd_kafka_headers_t *headers;

	if (message->header_count == 0)
		return NULL;
	headers = rd_kafka_headers_new(message->header_count);
	for (int i = 0; i < message->header_count; i++)
	{
		const EvHeader *header = &message->headers[i];

		rd_kafka_header_add(headers, header->name, -1,
							header->value, header->value_length);
	}
	return headers;
}

/*
 * Hand over a record by itself; key and value are copied, but with transactions
 * the value.
 */
static rd_kafka_resp_err_t
produce(rd_kafka_topic_t *topic, const EvMessage *message, uint64 ticket)
{
	rd_kafka_headers_t *headers = make_headers(message);
	rd_kafka_resp_err_t error;

	error = rd_kafka_producev(rk,
							  RD_KAFKA_V_RKT(topic),
							  RD_KAFKA_V_PARTITION(message->partition),
							  RD_KAFKA_V_MSGFLAGS(message_flags),
							  RD_KAFKA_V_KEY(message->key,
											 message->key_length),
							  RD_KAFKA_V_VALUE(unconstify(char *, message->value),
											   message->value_length),
							  RD_KAFKA_V_TIMESTAMP(message->timestamp),
							  RD_KAFKA_V_OPAQUE((void *) (uintptr_t) ticket),
							  RD_KAFKA_V_HEADERS(headers),
							  RD_KAFKA_V_END);
	/* Once the record is taken, its headers are librdkafka's. */
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL)
		rd_kafka_headers_destroy(headers);
	return error;
}

/*
 * Send a record.  REFUSED comes with Kafka's name of the error and the same
 * in words, which are constant; a refusal may also be reported later.  FULL is
 * also the answer while the report of a refusal is on its way, and in a
 * transaction that can only be aborted.  A producer that has turned fatal
 * answers FULL for ever: ask ev_producer_state().
 */
EvSendResult
ev_producer_send(const EvMessage *message, uint64 ticket,
				 const char **error_name, const char **error)
{
	bool		in_group = ev_producer_group_takes(message);
	rd_kafka_resp_err_t result;

	if (unlikely(ev_producer_refusal_expected()))
		return EV_SEND_FULL;
	/* What is of another topic goes first: its handle may be let go of. */
	if (unlikely(!in_group || !is_newest_topic(message->topic)) &&
		!ev_producer_group_flush())
		return EV_SEND_FULL;
	result = choose_topic(message->topic);
	if (likely(result == RD_KAFKA_RESP_ERR_NO_ERROR && in_group))
		return ev_producer_group_add(newest_topic->handle, message, ticket) ?
			EV_SEND_QUEUED : EV_SEND_FULL;
	if (result == RD_KAFKA_RESP_ERR_NO_ERROR)
		result = produce(newest_topic->handle, message, ticket);
	if (result == RD_KAFKA_RESP_ERR_NO_ERROR)
		return EV_SEND_QUEUED;
	if (ev_producer_is_for_now(result))
		return EV_SEND_FULL;

	*error_name = rd_kafka_err2name(result);
	*error = rd_kafka_err2str(result);
	return EV_SEND_REFUSED;
}

/*
 * Sends at once what waits for more to go with it, where this is ours to say:
 * whoever has set linger.ms wants to wait, and in a transaction of Kafka's its
 * commit does this.  librdkafka knows only to do so while somebody waits for
 * all of it to be acknowledged: for at most this one ms the caller is deaf.
 */
void
ev_producer_push(void)
{
	(void) ev_producer_group_flush();
	if (may_push)
		rd_kafka_flush(rk, 1);
}

/*
 * Calls back what is not on its way to a broker yet: delivery reports say
 * that it is undecided, in any order.  What a broker has not answered stays.  To
 * be called again and again while something is to be called back: librdkafka
 * may put into its queue once more what a broker does not take now.
 */
void
ev_producer_recall(void)
{
	ev_producer_group_recall();
	rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

/* ----------
 * Events in
 * ----------
 */

static void
drain_pipe(void)
{
	char		bytes[64];
	ssize_t		count = read(wake_pipe[0], bytes, sizeof(bytes));

	wakes += count > 0;
	while (count == sizeof(bytes))
		count = read(wake_pipe[0], bytes, sizeof(bytes));
}

/*
 * How often ev_producer_poll() has found the fd readable: once it has, the fd
 * wakes nobody anymore who waits for what that was.
 */
uint64
ev_producer_wakes(void)
{
	return wakes;
}

/*
 * Serve everything that librdkafka has to say, without waiting.  To be
 * called when the fd is readable, and now and then anyhow.  What a delivery
 * points to is valid during the callback.  If the callback throws, further
 * reports of the same batch are lost: this producer is then of no more use.
 */
void
ev_producer_poll(EvDeliveryCallback callback)
{
	rd_kafka_event_t *event;

	/* In this order: what comes after the last poll fills the pipe again. */
	drain_pipe();
	(void) ev_producer_group_flush();

	/* What is refused is reported only then, so that nothing overtakes it. */
	if (ev_producer_refusal_waits())
	{
		ev_producer_recall();
		ev_producer_refusal_go_on();
	}
	while ((event = rd_kafka_queue_poll(events, 0)) != NULL)
		ev_producer_events_take(event, callback);

	ev_producer_group_report(callback);
	ev_producer_tally_poll();
	ev_producer_watch_poll();
}
