/*-------------------------------------------------------------------------
 *
 * kafka_rules.c
 *	  Which librdkafka properties a user may set, and to what.
 *
 * librdkafka judges names and values, but it does not know what we rely on.
 * Three kinds of property are therefore looked at before it sees them:
 *
 * - what our promises rest on (acks, idempotence, no time limit) can only be
 *   set to the one value that keeps them;
 * - what this extension sets itself, or would make librdkafka call code of
 *   somebody's choice: some of these take effect, or load a library, as soon
 *   as librdkafka is told of them;
 * - secrets are refused where others can read them, which is everywhere but
 *   in eventuate.kafka_file.
 *
 * What users of the Java client know under another name is explained after
 * librdkafka has refused it, so that a newer librdkafka may learn the name.
 *
 * The module promises not to repeat values in errors.  It is pure and keeps
 * nothing; a restart does not concern it.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kafka_rules.h"

/* What may be set to certain values only; allowed: "|a|b|", NULL: none. */
typedef struct Rule
{
	const char *name;
	const char *allowed;
	const char *detail;
	const char *hint;
} Rule;

#define TRUE_ONLY "|true|t|1|"
#define FALSE_ONLY "|false|f|0|"
#define OURS "is set by eventuate itself."
#define HANDLE "can only be set by a program."
#define CODE "would make the server run code of somebody's choice."
#define RETRIES "can only be 2147483647: Kafka's absence must not end a message."
#define TIMEOUT "can only be 0, which is no limit: Kafka's absence must not end a message."
#define INFLIGHT "can only be 1 to 5, as many requests as idempotence keeps in order."
#define ACKS "can only be \"all\": a message that only some in-sync replicas have can be lost."

static const Rule rules[] = {
	{"acks", "|all|-1|", ACKS},
	{"request.required.acks", "|all|-1|", ACKS},
	{"enable.idempotence", TRUE_ONLY, "can only be \"true\": order and uniqueness rest on it."},
	{"message.timeout.ms", "|0|", TIMEOUT},
	{"delivery.timeout.ms", "|0|", TIMEOUT},
	{"retries", "|2147483647|", RETRIES},
	{"message.send.max.retries", "|2147483647|", RETRIES},
	{"max.in.flight", "|1|2|3|4|5|", INFLIGHT},
	{"max.in.flight.requests.per.connection", "|1|2|3|4|5|", INFLIGHT},
	{"queuing.strategy", "|fifo|", "can only be \"fifo\": it keeps messages in order."},
	{"queue.buffering.backpressure.threshold", "|1|", "can only be 1 with idempotence."},
	{"enable.gapless.guarantee", FALSE_ONLY, "can only be \"false\": one bad message must not stop the others."},
	{"delivery.report.only.error", FALSE_ONLY, "can only be \"false\": the publisher waits for every acknowledgement."},
	{"api.version.request", TRUE_ONLY, "can only be \"true\": idempotence needs it."},
	{"statistics.interval.ms", NULL, OURS},
	{"transactional.id", NULL, OURS, "Use the setting \"eventuate.exactly_once\"."},
	{"transaction.timeout.ms", NULL, OURS},
	{"queue.buffering.max.messages", NULL, OURS, "Use the setting \"eventuate.queue_size\"."},
	{"queue.buffering.max.kbytes", NULL, OURS, "Use the setting \"eventuate.queue_size\"."},
	{"message.max.bytes", NULL, OURS, "Use the setting \"eventuate.max_message_size\"."},
	{"log.queue", NULL, OURS},
	{"enabled_events", NULL, OURS},
	{"opaque", NULL, HANDLE},
	{"default_topic_conf", NULL, HANDLE},
	{"interceptors", NULL, HANDLE},
	{"msg_order_cmp", NULL, HANDLE},
	{"ssl_key", NULL, HANDLE, "Use \"ssl.key.location\"."},
	{"ssl_certificate", NULL, HANDLE, "Use \"ssl.certificate.location\"."},
	{"ssl_ca", NULL, HANDLE, "Use \"ssl.ca.location\"."},
	{"ssl_engine_callback_data", NULL, HANDLE},
	{"plugin.library.paths", NULL, CODE},
	{"ssl.engine.location", NULL, CODE},
	{"ssl.engine.id", NULL, CODE},
	{"sasl.kerberos.kinit.cmd", NULL, CODE, "Set \"sasl.kerberos.keytab\" and \"sasl.kerberos.principal\"."},
};

/* Whole families, by the beginning of the name. */
static const Rule families[] = {
	{"consumer.", NULL, "is reserved."},
	{"internal.", NULL, "is internal to librdkafka."},
	{"test.", NULL, "is for librdkafka's own tests."},
	{"ut_", NULL, "is for librdkafka's own tests."},
};

/*
 * Values that end up in a shell's command line or in the name of a library;
 * all but these characters are refused.
 */
#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static const struct
{
	const char *name;
	const char *characters;
}			alphabets[] =
{
	{"sasl.kerberos.principal", WORD "/@"},
	{"sasl.kerberos.keytab", WORD "/@:+,"},
	{"ssl.providers", WORD ", "},
};

/* librdkafka's second names for a property. */
static const char *const aliases[][2] = {
	{"bootstrap.servers", "metadata.broker.list"},
	{"max.in.flight", "max.in.flight.requests.per.connection"},
	{"linger.ms", "queue.buffering.max.ms"},
	{"retries", "message.send.max.retries"},
	{"compression.type", "compression.codec"},
	{"sasl.mechanism", "sasl.mechanisms"},
	{"acks", "request.required.acks"},
	{"delivery.timeout.ms", "message.timeout.ms"},
};

#define LEAVE_OUT "librdkafka has no counterpart; leave it out."

/* What the Java client calls otherwise, or has and librdkafka has not. */
static const char *const java_names[][2] = {
	{"key.serializer", "Messages are sent as they are; leave it out."},
	{"value.serializer", "Messages are sent as they are; leave it out."},
	{"buffer.memory", "Use the setting \"eventuate.queue_size\" instead of librdkafka's \"queue.buffering.max.kbytes\"."},
	{"max.request.size", "Use the setting \"eventuate.max_message_size\" instead of librdkafka's \"message.max.bytes\"."},
	{"max.block.ms", "Sending never waits for Kafka; leave it out."},
	{"partitioner.class", "librdkafka's counterpart is \"partitioner\"; its default here is that of the Java client."},
	{"partitioner.ignore.keys", "librdkafka's counterpart is partitioner=random."},
	{"partitioner.adaptive.partitioning.enable", LEAVE_OUT},
	{"partitioner.availability.timeout.ms", LEAVE_OUT},
	{"receive.buffer.bytes", "librdkafka's counterpart is \"socket.receive.buffer.bytes\"."},
	{"send.buffer.bytes", "librdkafka's counterpart is \"socket.send.buffer.bytes\"."},
	{"metadata.max.idle.ms", "librdkafka's counterpart is \"metadata.max.age.ms\"."},
	{"metadata.recovery.strategy", LEAVE_OUT},
	{"client.dns.lookup", LEAVE_OUT},
	{"compression.gzip.level", "librdkafka's counterpart is \"compression.level\"."},
	{"compression.lz4.level", "librdkafka's counterpart is \"compression.level\"."},
	{"compression.zstd.level", "librdkafka's counterpart is \"compression.level\"."},
	{"interceptor.classes", LEAVE_OUT},
	{"metric.reporters", LEAVE_OUT},
	{"metrics.num.samples", LEAVE_OUT},
	{"metrics.recording.level", LEAVE_OUT},
	{"metrics.sample.window.ms", LEAVE_OUT},
	{"enable.metrics.push", LEAVE_OUT},
	{"auto.include.jmx.reporter", LEAVE_OUT},
	{"retry.backoff.max.ms", LEAVE_OUT},
	{"socket.connection.setup.timeout.max.ms", "librdkafka's counterpart is \"socket.connection.setup.timeout.ms\"."},
	{"sasl.jaas.config", "librdkafka's counterparts are \"sasl.username\" and \"sasl.password\", for Kerberos \"sasl.kerberos.principal\" and \"sasl.kerberos.keytab\"; the password goes into eventuate.kafka_file."},
	{"sasl.client.callback.handler.class", LEAVE_OUT},
	{"sasl.login.callback.handler.class", "librdkafka's counterpart is sasl.oauthbearer.method=oidc."},
	{"sasl.login.class", LEAVE_OUT},
	{"ssl.truststore.location", "librdkafka's counterpart is \"ssl.ca.location\", a file in PEM format."},
	{"ssl.truststore.password", "librdkafka's \"ssl.ca.location\", a file in PEM format, has no password; leave it out."},
	{"ssl.truststore.type", "librdkafka's \"ssl.ca.location\" is a file in PEM format; leave it out."},
	{"ssl.truststore.certificates", "librdkafka's counterpart is \"ssl.ca.pem\"."},
	{"ssl.keystore.type", "librdkafka's \"ssl.keystore.location\" is a file in PKCS#12 format; leave it out."},
	{"ssl.keystore.key", "librdkafka's counterparts are \"ssl.key.location\" and, in eventuate.kafka_file, \"ssl.key.pem\"."},
	{"ssl.keystore.certificate.chain", "librdkafka's counterparts are \"ssl.certificate.location\" and \"ssl.certificate.pem\"."},
	{"ssl.enabled.protocols", LEAVE_OUT},
	{"ssl.protocol", LEAVE_OUT},
	{"ssl.provider", LEAVE_OUT},
	{"ssl.keymanager.algorithm", LEAVE_OUT},
	{"ssl.trustmanager.algorithm", LEAVE_OUT},
	{"ssl.secure.random.implementation", LEAVE_OUT},
	{"ssl.engine.factory.class", LEAVE_OUT},
	{"security.providers", LEAVE_OUT},
};

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool
ends_with(const char *text, const char *suffix)
{
	size_t		length = strlen(text);
	size_t		suffix_length = strlen(suffix);

	return length >= suffix_length &&
		strcmp(text + length - suffix_length, suffix) == 0;
}

/* Is value one of "|a|b|"?  librdkafka compares booleans and words so, too. */
static bool
is_allowed(const char *allowed, const char *value)
{
	size_t		length = strlen(value);

	if (allowed == NULL)
		return false;
	for (; allowed[1] != '\0'; allowed = strchr(allowed + 1, '|'))
	{
		if (pg_strncasecmp(allowed + 1, value, length) == 0 &&
			allowed[length + 1] == '|')
			return true;
	}
	return false;
}

/* Say what is wrong with the property of this name; returns false. */
static bool
refuse(EvProblem *problem, const char *name, const char *detail,
	   const char *hint)
{
	return ev_properties_refuse(problem, ERRCODE_INVALID_PARAMETER_VALUE,
								psprintf("Property \"%s\" %s", name, detail),
								hint);
}

/* The rule for a name; NULL: there is none. */
static const Rule *
find_rule(const char *name)
{
	static const Rule callback = {"_cb", NULL, HANDLE};

	for (int i = 0; i < lengthof(rules); i++)
	{
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	}
	for (int i = 0; i < lengthof(families); i++)
	{
		if (starts_with(name, families[i].name))
			return &families[i];
	}
	return ends_with(name, "_cb") ? &callback : NULL;
}

/* The characters that the value of this property may have; NULL: all. */
static const char *
find_alphabet(const char *name)
{
	for (int i = 0; i < lengthof(alphabets); i++)
	{
		if (strcmp(alphabets[i].name, name) == 0)
			return alphabets[i].characters;
	}
	return NULL;
}

/*
 * librdkafka takes a topic's property also with "topic." before its name; to
 * the rules both are the same.
 */
static const char *
strip_topic(const char *name)
{
	return starts_with(name, "topic.") ? name + strlen("topic.") : name;
}

/*
 * May this property be shown to librdkafka?  If not, says why.
 */
bool
ev_kafka_rules_check(const EvProperty *property, bool secrets_allowed,
					 EvProblem *problem)
{
	const char *name = strip_topic(property->name);
	const Rule *rule = find_rule(name);
	const char *alphabet = find_alphabet(name);

	if (rule != NULL && !is_allowed(rule->allowed, property->value))
		return refuse(problem, property->name, rule->detail, rule->hint);
	if (alphabet != NULL &&
		property->value[strspn(property->value, alphabet)] != '\0')
		return refuse(problem, property->name,
					  "has a character in its value that is not accepted there.",
					  NULL);
	if (!secrets_allowed && ev_kafka_rules_secret(name))
	{
		const char *hint = ev_kafka_rules_java(name);

		return refuse(problem, property->name,
					  "is a secret, and this setting is visible to others.",
					  hint ? hint :
					  "Put it into the file that eventuate.kafka_file names.");
	}
	return true;
}

/*
 * Is the value a secret?  Told by the name, so that properties which only a
 * newer librdkafka has are covered as well.
 */
bool
ev_kafka_rules_secret(const char *name)
{
	return strstr(name, "password") != NULL ||
		strstr(name, "passphrase") != NULL ||
		strstr(name, "secret") != NULL ||
		ends_with(name, "key.pem") ||
		strcmp(name, "ssl_key") == 0 ||
		strcmp(name, "sasl.oauthbearer.config") == 0;
}

/* Is it something in C that text cannot express, such as a callback? */
bool
ev_kafka_rules_handle(const char *name)
{
	const Rule *rule = find_rule(name);

	return rule != NULL && strcmp(rule->detail, HANDLE) == 0;
}

/* librdkafka's first name for a property. */
const char *
ev_kafka_rules_canonical(const char *name)
{
	for (int i = 0; i < lengthof(aliases); i++)
	{
		if (strcmp(aliases[i][0], name) == 0)
			return aliases[i][1];
	}
	return name;
}

/* Do both set the same property in the same section? */
bool
ev_kafka_rules_same(const EvProperty *one, const EvProperty *other)
{
	if ((one->section == NULL) != (other->section == NULL) ||
		(one->section != NULL && strcmp(one->section, other->section) != 0))
		return false;
	return strcmp(ev_kafka_rules_canonical(strip_topic(one->name)),
				  ev_kafka_rules_canonical(strip_topic(other->name))) == 0;
}

/* A hint for a name of the Java client's; NULL: it is none. */
const char *
ev_kafka_rules_java(const char *name)
{
	for (int i = 0; i < lengthof(java_names); i++)
	{
		if (strcmp(java_names[i][0], name) == 0)
			return java_names[i][1];
	}
	return NULL;
}
