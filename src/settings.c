/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  Every setting of the extension.
 *
 * The settings exist in every process that has loaded the library, whether it
 * was preloaded or not: a session that merely calls a function must see the
 * same limits as the publisher, and ALTER SYSTEM must check what it is given.
 * All of them change on reload; none needs a restart.
 *
 * The module promises that what a setting holds has passed its checks, and
 * that a refusal never repeats the value of eventuate.kafka, in which
 * somebody may have put a secret.
 *
 * A restart reads the settings anew; nothing is kept here besides them.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "settings.h"
#include "settings_kafka.h"

/* librdkafka's largest request, without what a request has besides. */
#define MAX_MESSAGE_SIZE (1000000000 - 1024)

/* In MB: less is passed in a moment, with Kafka there. */
#define LEAST_MAX_WAL 16

char	   *ev_kafka = NULL;
char	   *ev_kafka_file = NULL;
char	   *ev_databases = NULL;
int			ev_max_message_size = 1000000;
int			ev_queue_size = 64 * 1024;
int			ev_max_wal = 10 * 1024;
int			ev_retention = 3600;
int			ev_send_mode = EV_SEND_TABLE;
int			ev_on_refusal = EV_REFUSAL_DEAD_LETTER;
int			ev_refusal_grace = 300;
int			ev_record_timestamp = EV_TIMESTAMP_PUBLISH;
bool		ev_exactly_once = false;

static const struct config_enum_entry refusals[] = {
	{"dead_letter", EV_REFUSAL_DEAD_LETTER, false},
	{"stop", EV_REFUSAL_STOP, false},
	{NULL, 0, false}
};

static const struct config_enum_entry send_modes[] = {
	{"table", EV_SEND_TABLE, false},
	{"wal", EV_SEND_WAL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry record_timestamps[] = {
	{"publish", EV_TIMESTAMP_PUBLISH, false},
	{"commit", EV_TIMESTAMP_COMMIT, false},
	{NULL, 0, false}
};

/*
 * Check hook of eventuate.kafka.  The message replaces PostgreSQL's own, which
 * would repeat the value.
 */
static bool
check_kafka(char **newval, void **extra, GucSource source)
{
	EvProblem	problem = {0};
	MemoryContext context;
	MemoryContext previous;
	bool		accepted;

	/* The postmaster's context of the moment may live for ever. */
	context = AllocSetContextCreate(CurrentMemoryContext,
									"eventuate.kafka",
									ALLOCSET_SMALL_SIZES);
	previous = MemoryContextSwitchTo(context);
	accepted = ev_settings_kafka_check(*newval, &problem);
	if (!accepted)
	{
		GUC_check_errcode(problem.sqlstate);
		GUC_check_errmsg("invalid value for parameter \"%s\"",
						 "eventuate.kafka");
		GUC_check_errdetail("%s", problem.detail);
		if (problem.hint != NULL)
			GUC_check_errhint("%s", problem.hint);
	}
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
	return accepted;
}

/* Check hook of eventuate.databases. */
static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char	   *text = pstrdup(*newval);
	List	   *names;
	bool		accepted = SplitIdentifierString(text, ',', &names);

	if (!accepted)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(names);
	pfree(text);
	return accepted;
}

/* Check hook of eventuate.max_wal. */
static bool
check_max_wal(int *newval, void **extra, GucSource source)
{
	if (*newval == -1 || *newval >= LEAST_MAX_WAL)
		return true;
	GUC_check_errdetail("It must be -1, for no limit, or at least %d MB.",
						LEAST_MAX_WAL);
	return false;
}

/* The settings that are text. */
static void
define_texts(void)
{
	DefineCustomStringVariable("eventuate.kafka",
							   "Sets the librdkafka properties with which messages are published.",
							   "name=value pairs as in a libpq connection string; bootstrap.servers says where Kafka is.",
							   &ev_kafka,
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   check_kafka,
							   NULL,
							   NULL);

	DefineCustomStringVariable("eventuate.kafka_file",
							   "Sets the file with further librdkafka properties, secrets among them.",
							   "One name=value a line; what follows a line [database] holds for that database only.",
							   &ev_kafka_file,
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   NULL,
							   NULL,
							   NULL);

	DefineCustomStringVariable("eventuate.databases",
							   "Sets the databases whose messages are published.",
							   "A list of names, or * for all.",
							   &ev_databases,
							   "*",
							   PGC_SIGHUP,
							   0,
							   check_databases,
							   NULL,
							   NULL);
}

/* The settings that are numbers or words, and the one that is a switch. */
static void
define_numbers(void)
{
	DefineCustomIntVariable("eventuate.max_message_size",
							"Sets the largest size of a message as a record of Kafka's.",
							"Key, value, headers and 100 bytes for the record itself.",
							&ev_max_message_size,
							1000000,
							1000,
							MAX_MESSAGE_SIZE,
							PGC_SIGHUP,
							GUC_UNIT_BYTE,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("eventuate.queue_size",
							"Sets how much may wait for Kafka's acknowledgement in a publisher.",
							"A message larger than this still fits, alone.",
							&ev_queue_size,
							64 * 1024,
							1024,
							MAX_KILOBYTES,
							PGC_SIGHUP,
							GUC_UNIT_KB,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("eventuate.retention",
							"Sets how long published rows stay in the tables of the extension.",
							"Attached tables keep theirs, unless eventuate_attach() was told otherwise. -1 means for ever.",
							&ev_retention,
							3600,
							-1,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("eventuate.max_wal",
							"Sets how much WAL a replication slot may hold back before it is given up.",
							"Messages are then published from the tables. -1 means no limit.",
							&ev_max_wal,
							10 * 1024,
							-1,
							MAX_KILOBYTES,
							PGC_SIGHUP,
							GUC_UNIT_MB,
							check_max_wal,
							NULL,
							NULL);
}

/* The settings that are words, and what depends on them. */
static void
define_words(void)
{
	DefineCustomEnumVariable("eventuate.record_timestamp",
							 "Sets which time a record of Kafka's has as its timestamp.",
							 NULL,
							 &ev_record_timestamp,
							 EV_TIMESTAMP_PUBLISH,
							 record_timestamps,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomBoolVariable("eventuate.exactly_once",
							 "Publishes in transactions of Kafka's, together with the position in WAL.",
							 "Consumers with isolation.level=read_committed then get every message once.",
							 &ev_exactly_once,
							 false,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);
}

/* The settings that say what becomes of messages that Kafka refuses. */
static void
define_refusal(void)
{
	DefineCustomEnumVariable("eventuate.send_mode",
							 "Sets where messages are written to.",
							 "table writes a row; wal only the write-ahead log, which is cheaper and leaves nothing to see.",
							 &ev_send_mode,
							 EV_SEND_TABLE,
							 send_modes,
							 PGC_USERSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomEnumVariable("eventuate.on_refusal",
							 "Sets what becomes of a message that Kafka refuses for good.",
							 "dead_letter keeps it in eventuate.dead_letter and goes on; stop keeps strict order.",
							 &ev_on_refusal,
							 EV_REFUSAL_DEAD_LETTER,
							 refusals,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomIntVariable("eventuate.refusal_grace",
							"Sets how long messages are held for a topic that Kafka does not know, or does not let us write to.",
							NULL,
							&ev_refusal_grace,
							300,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);
}

/* Define all settings; called once by _PG_init, preloaded or not. */
void
ev_settings_init(void)
{
	define_texts();
	define_numbers();
	define_words();
	define_refusal();
	MarkGUCPrefixReserved("eventuate");
}

/* Does eventuate.databases name this database? */
bool
ev_settings_database_allowed(const char *database)
{
	char	   *text = pstrdup(ev_databases);
	List	   *names;
	ListCell   *cell;
	bool		allowed = false;

	if (!SplitIdentifierString(text, ',', &names))
		elog(ERROR, "eventuate.databases is not a list");
	foreach(cell, names)
	{
		const char *name = lfirst(cell);

		if (strcmp(name, "*") == 0 || strcmp(name, database) == 0)
			allowed = true;
	}
	list_free(names);
	pfree(text);
	return allowed;
}
