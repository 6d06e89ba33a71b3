/*-------------------------------------------------------------------------
 *
 * settings_kafka.c
 *	  From eventuate.kafka and eventuate.kafka_file to librdkafka's conf.
 *
 * A producer's properties are put together in this order, so that a later one
 * wins also where it has another name than the earlier: our defaults,
 * eventuate.kafka, what the file says for all databases, what it says for
 * this database, and what we enforce.  kafka_rules.c has refused before that
 * what would contradict the last.
 *
 * The module promises that making and filling a conf starts no thread and
 * opens no connection (the check hook runs in the postmaster, too), that no
 * secret gets into an error, and that a conf is never lost: nothing is
 * palloc'd while one is held.  It reads no catalogs, so it works outside of
 * transactions.
 *
 * It keeps nothing: the file is read whenever it is asked for.  After a
 * restart, as after a reload, the newest content counts.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include <librdkafka/rdkafka.h>

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "kafka_rules.h"
#include "properties.h"
#include "properties_file.h"
#include "settings_kafka.h"

/* What a request has besides one record, and librdkafka's own upper bound. */
#define REQUEST_OVERHEAD 1024
#define MAX_REQUEST_SIZE 1000000000

/* librdkafka's cost of one queued message besides its value, at least. */
#define QUEUED_MESSAGE_SIZE 640
#define MIN_QUEUED_MESSAGES 1000
#define MAX_QUEUED_MESSAGES 10000000

/* In ms, how often librdkafka says where records wait. */
#define STATISTICS_INTERVAL "2000"

/*
 * In bytes: how large a request for a partition becomes in a backlog.  With
 * librdkafka's 1,000,000 so much is on its way that no cache has it, and to a
 * broker with a heap of 1 GB a request of half a megabyte is a large object.
 */
#define BATCH_SIZE "450000"

/* In ms: so long a crash may keep consumers waiting for its open transaction. */
#define TRANSACTION_TIMEOUT "15000"

/* If the property is from the file, say from which line. */
static void
locate(EvProblem *problem, const EvProperty *property)
{
	if (property->line > 0)
		ev_properties_file_locate(problem, ev_kafka_file, property->line);
}

/* ----------
 * Putting properties together
 * ----------
 */

static void
add(EvProperties *properties, const char *name, char *value)
{
	EvProperty	property = {NULL, name, value, 0};

	ev_properties_add(properties, &property);
}

/*
 * Add those properties of a list or file that hold for the database, first
 * the general ones, each checked by our own rules.  Repeated names are
 * refused within a section.
 */
static bool
add_checked(EvProperties *all, const EvProperties *added,
			const char *database, bool secrets_allowed, EvProblem *problem)
{
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < added->count; i++)
		{
			const EvProperty *property = &added->items[i];
			int			j = 0;

			if (pass == 0 ? property->section != NULL :
				property->section == NULL ||
				strcmp(property->section, database) != 0)
				continue;
			while (!ev_kafka_rules_same(&added->items[j], property))
				j++;
			if (j < i)
			{
				ev_properties_refuse(problem, ERRCODE_DUPLICATE_OBJECT,
									 psprintf("Property \"%s\" is set twice, or by two of its names.",
											  property->name), NULL);
				locate(problem, property);
				return false;
			}
			if (!ev_kafka_rules_check(property, secrets_allowed, problem))
			{
				locate(problem, property);
				return false;
			}
			ev_properties_add(all, property);
		}
	}
	return true;
}

/* Add what eventuate.kafka, or a candidate for it, says. */
static bool
add_list(EvProperties *all, const char *list, EvProblem *problem)
{
	char	   *error;
	EvProperties *properties = ev_properties_parse_list(list, &error);

	if (properties == NULL)
		return ev_properties_refuse(problem, ERRCODE_SYNTAX_ERROR, error,
									"Write name=value pairs with blanks between them; quote a value that has blanks in it: name='a value'.");
	return add_checked(all, properties, "", false, problem);
}

/* The value that holds in the end; NULL: the property is not set. */
static const char *
lookup(const EvProperties *properties, const char *name)
{
	for (int i = properties->count - 1; i >= 0; i--)
	{
		if (strcmp(ev_kafka_rules_canonical(properties->items[i].name),
				   ev_kafka_rules_canonical(name)) == 0)
			return properties->items[i].value;
	}
	return NULL;
}

/*
 * What differs from librdkafka's defaults unless somebody sets it: the same
 * partitions as the Java client chooses, and larger requests while there is a
 * backlog; without one ev_producer_push() sends at once.
 */
static void
add_defaults(EvProperties *all, const char *database)
{
	add(all, "client.id", psprintf("eventuate-%s", database));
	add(all, "partitioner", "murmur2_random");
	add(all, "linger.ms", EV_LINGER);
	add(all, "batch.size", BATCH_SIZE);
	add(all, "socket.keepalive.enable", "true");
}

/*
 * Try a lost broker again as often as the Java client does; librdkafka's 10 s
 * would be how long messages wait for nothing.  It refuses a maximum below
 * reconnect.backoff.ms: where somebody has set that, both are theirs.
 */
static void
add_reconnect_default(EvProperties *all)
{
	if (lookup(all, "reconnect.backoff.ms") == NULL &&
		lookup(all, "reconnect.backoff.max.ms") == NULL)
		add(all, "reconnect.backoff.max.ms", "1000");
}

/*
 * One transactional producer for each database of each cluster; a successor
 * fences off its predecessor by the name.  What a position is stored with is
 * refused for a moment after each commit: the next try is not to be late.
 */
static void
add_transactional(EvProperties *all)
{
	add(all, "transactional.id",
		psprintf("eventuate-" UINT64_FORMAT "-%u", GetSystemIdentifier(), MyDatabaseId));
	add(all, "transaction.timeout.ms", TRANSACTION_TIMEOUT);
	add(all, "retry.backoff.ms", "1");
}

/* What our promises rest on and what our own settings say. */
static void
add_enforced(EvProperties *all)
{
	int64		messages = (int64) ev_queue_size * 1024 / QUEUED_MESSAGE_SIZE;
	int			kbytes = ev_max_message_size / 1024 + 1;

	messages = Max(messages, MIN_QUEUED_MESSAGES);
	messages = Min(messages, MAX_QUEUED_MESSAGES);

	add(all, "acks", "all");
	add(all, "enable.idempotence", "true");
	add(all, "message.timeout.ms", "0");
	add(all, "message.max.bytes",
		psprintf("%d", Min(ev_max_message_size,
						   MAX_REQUEST_SIZE - REQUEST_OVERHEAD) +
				 REQUEST_OVERHEAD));
	/* A message larger than the whole queue could never enter it. */
	add(all, "queue.buffering.max.kbytes",
		psprintf("%d", Max(ev_queue_size, kbytes)));
	add(all, "queue.buffering.max.messages",
		psprintf("%d", (int) messages));

	add(all, "log.queue", "true");
	add(all, "statistics.interval.ms", STATISTICS_INTERVAL);
	if (ev_exactly_once)
		add_transactional(all);
}

/* All properties for a database's producer, in order; NULL on a problem. */
static EvProperties *
effective(const char *database, EvProblem *problem)
{
	EvProperties *all = ev_properties_create();

	add_defaults(all, database);
	if (!add_list(all, ev_kafka, problem))
		return NULL;
	if (ev_kafka_file[0] != '\0')
	{
		EvProperties *file = ev_properties_file_read(ev_kafka_file, problem);

		if (file == NULL || !add_checked(all, file, database, true, problem))
			return NULL;
	}
	add_reconnect_default(all);
	add_enforced(all);
	return all;
}

/* ----------
 * Handing them to librdkafka
 * ----------
 */

/* Explain why librdkafka refused a property. */
static void
explain(const EvProperty *property, bool unknown, const char *reason,
		const char *features, EvProblem *problem)
{
	const char *hint = ev_kafka_rules_java(property->name);
	int			length = strcspn(reason, "\n");

	if (unknown)
		ev_properties_refuse(problem, ERRCODE_UNDEFINED_OBJECT,
							 psprintf("librdkafka knows no property \"%s\".", property->name),
							 hint);
	else if (strncmp(property->name, "sasl.oauthbearer.", 17) == 0 &&
			 strstr(features, "oidc") == NULL)
		ev_properties_refuse(problem, ERRCODE_FEATURE_NOT_SUPPORTED,
							 psprintf("Property \"%s\" is not supported by the librdkafka in use.",
									  property->name),
							 "This librdkafka was built without OIDC; install one that was built with it.");
	else if (ev_kafka_rules_secret(property->name) || hint != NULL)
		ev_properties_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
							 psprintf("librdkafka does not accept property \"%s\".",
									  property->name), hint);
	else
	{
		while (length > 0 && (reason[length - 1] == '.' ||
							  reason[length - 1] == ' '))
			length--;
		ev_properties_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
							 psprintf("librdkafka does not accept property \"%s\": %.*s.",
									  property->name, length, reason), NULL);
	}
	locate(problem, property);
}

/*
 * Make a conf of properties.  Returns NULL and the problem if librdkafka does
 * not accept one; else the caller owns the conf.
 */
static rd_kafka_conf_t *
make_conf(const EvProperties *properties, EvProblem *problem)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_res_t result = RD_KAFKA_CONF_OK;
	char		reason[512] = "";
	char		features[512] = "";
	size_t		size = sizeof(features);
	int			i;

	rd_kafka_conf_get(conf, "builtin.features", features, &size);
	for (i = 0; i < properties->count; i++)
	{
		result = rd_kafka_conf_set(conf, properties->items[i].name,
								   properties->items[i].value,
								   reason, sizeof(reason));
		if (result != RD_KAFKA_CONF_OK)
			break;
	}
	if (result == RD_KAFKA_CONF_OK)
		return conf;

	rd_kafka_conf_destroy(conf);
	explain(&properties->items[i], result == RD_KAFKA_CONF_UNKNOWN, reason,
			features, problem);
	return NULL;
}

/* Would this do as eventuate.kafka? */
bool
ev_settings_kafka_check(const char *list, EvProblem *problem)
{
	EvProperties *properties = ev_properties_create();
	rd_kafka_conf_t *conf;

	if (!add_list(properties, list, problem))
		return false;
	conf = make_conf(properties, problem);
	if (conf == NULL)
		return false;
	rd_kafka_conf_destroy(conf);
	return true;
}

/*
 * The complete conf for a database's producer, which then belongs to the
 * caller; NULL and the problem if there is one.
 */
struct rd_kafka_conf_s *
ev_settings_kafka_build(const char *database, EvProblem *problem)
{
	EvProperties *properties = effective(database, problem);

	return properties == NULL ? NULL : make_conf(properties, problem);
}

/* The same for those who have no use for an SQLSTATE. */
struct rd_kafka_conf_s *
ev_settings_kafka_conf(const char *database, char **error, char **hint)
{
	EvProblem	problem = {0};
	rd_kafka_conf_t *conf = ev_settings_kafka_build(database, &problem);

	*error = problem.detail;
	*hint = problem.hint;
	return conf;
}

/*
 * What librdkafka says is in a conf, for a database's producer; NULL and the
 * problem if there is one.  Secrets are not masked.
 */
EvProperties *
ev_settings_kafka_dump(const char *database, EvProblem *problem)
{
	EvProperties *all = ev_properties_create();
	rd_kafka_conf_t *conf = ev_settings_kafka_build(database, problem);
	const char **dumps[2];
	size_t		counts[2];

	if (conf == NULL)
		return NULL;

	dumps[0] = rd_kafka_conf_dump(conf, &counts[0]);
	dumps[1] = rd_kafka_topic_conf_dump(rd_kafka_conf_get_default_topic_conf(conf),
										&counts[1]);
	rd_kafka_conf_destroy(conf);

	PG_TRY();
	{
		for (int i = 0; i < lengthof(dumps); i++)
		{
			for (size_t j = 0; j < counts[i]; j += 2)
				add(all, pstrdup(dumps[i][j]), pstrdup(dumps[i][j + 1]));
		}
	}
	PG_FINALLY();
	{
		for (int i = 0; i < lengthof(dumps); i++)
			rd_kafka_conf_dump_free(dumps[i], counts[i]);
	}
	PG_END_TRY();
	return all;
}

/*
 * Is it said for this database where Kafka is?  A file that cannot be read or
 * is wrong counts as yes: the publisher it starts is what reports that.
 */
bool
ev_settings_kafka_configured(const char *database)
{
	EvProblem	problem = {0};
	EvProperties *properties;
	const char *brokers;

	if (ev_kafka[0] == '\0' && ev_kafka_file[0] == '\0')
		return false;
	properties = effective(database, &problem);
	if (properties == NULL)
		return true;
	brokers = lookup(properties, "bootstrap.servers");
	return brokers != NULL && brokers[0] != '\0';
}

/* What tells a file that was written anew from what it was before. */
static void
append_file(StringInfo text, const EvProperty *property)
{
	const char *name = ev_kafka_rules_canonical(property->name);
	const char *last = strrchr(name, '.');
	struct stat file;

	if (last == NULL || (strcmp(last, ".location") != 0 &&
						 strcmp(last, ".keytab") != 0))
		return;
	if (stat(property->value, &file) != 0)
		appendStringInfoString(text, "no file\n");
	else
		appendStringInfo(text, "file %llu:%lld:%lld.%09ld:%lld.%09ld\n",
						 (unsigned long long) file.st_ino,
						 (long long) file.st_size,
						 (long long) file.st_mtim.tv_sec, (long) file.st_mtim.tv_nsec,
						 (long long) file.st_ctim.tv_sec, (long) file.st_ctim.tv_nsec);
}

/*
 * A palloc'd string that is another one whenever the conf, or what prevents
 * one, has changed; a certificate that was renewed in its place counts.  It may
 * contain secrets.
 */
char *
ev_settings_kafka_fingerprint(const char *database)
{
	EvProblem	problem = {0};
	EvProperties *properties = effective(database, &problem);
	StringInfoData text;

	if (properties == NULL)
		return psprintf("!%s", problem.detail);

	initStringInfo(&text);
	for (int i = 0; i < properties->count; i++)
	{
		const EvProperty *property = &properties->items[i];

		/* With the length, no value can pass for two properties. */
		appendStringInfo(&text, "%s=%d:%s\n", property->name,
						 (int) strlen(property->value), property->value);
		append_file(&text, property);
	}
	return text.data;
}
