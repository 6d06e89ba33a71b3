/*-------------------------------------------------------------------------
 *
 * producer_stats.c
 *	  Which partition does not take what it is sent?
 *
 * librdkafka tries again what a partition without leader, or with too few
 * in-sync replicas, does not take, and says nothing.  Only its statistics, a
 * JSON object now and then, tell where records pile up.  They are looked into
 * only while somebody asks.
 *
 * The text is searched, not parsed: it may hold names that are not escaped,
 * and what is not found in it is just not known.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "eventuate.h"
#include "producer.h"
#include "producer_stats.h"

/* Did anybody ask since the last statistics? */
static bool wanted = false;

/* What they said; empty: nothing. */
static char stuck[EV_TOPIC_MAX_LENGTH + 200] = "";

/* The number behind a name, before "end"; 0: there is none. */
static int
number_of(const char *text, const char *end, const char *name)
{
	const char *found = strstr(text, name);

	return found == NULL || found >= end ? 0 : atoi(found + strlen(name));
}

static void
describe(const char *topic, int partition, int leader)
{
	int			length = Min((int) strcspn(topic, "\""), EV_TOPIC_MAX_LENGTH);

	if (partition < 0)
		snprintf(stuck, sizeof(stuck),
				 "Kafka has said nothing of topic \"%.*s\" yet", length, topic);
	else if (leader < 0)
		snprintf(stuck, sizeof(stuck),
				 "partition %d of topic \"%.*s\" has no leader",
				 partition, length, topic);
	else
		snprintf(stuck, sizeof(stuck),
				 "partition %d of topic \"%.*s\" does not take its records; its leader, broker %d, may have too few in-sync replicas",
				 partition, length, topic, leader);
}

/*
 * For producer.c: librdkafka's statistics have come.  Each topic begins with
 * its name, and each of its partitions with its number.
 */
void
ev_producer_stats_take(const char *json)
{
	static const char topic_name[] = "\"topic\":\"";
	static const char partition_name[] = "\"partition\":";
	const char *place = wanted ? strstr(json, "\"topics\":") : NULL;
	const char *topic = place ? strstr(place, topic_name) : NULL;
	int			most = 0;

	stuck[0] = '\0';
	wanted = false;
	if (topic == NULL)
		return;
	place = strstr(topic, partition_name);
	while (place != NULL)
	{
		const char *next = strstr(place + 1, partition_name);
		const char *end = next ? next : place + strlen(place);
		const char *next_topic = strstr(place, topic_name);
		int			waiting = number_of(place, end, "\"msgq_cnt\":") +
		number_of(place, end, "\"xmit_msgq_cnt\":") +
		number_of(place, end, "\"msgs_inflight\":");

		if (waiting > most)
		{
			most = waiting;
			describe(topic + strlen(topic_name), atoi(place + strlen(partition_name)),
					 number_of(place, end, "\"leader\":"));
		}
		if (next_topic != NULL && next_topic < end)
			topic = next_topic;
		place = next;
	}
}

/*
 * Where most records wait, in words, or NULL: not known yet, ask again.  A
 * static buffer, valid until the next call of ev_producer_poll().
 */
const char *
ev_producer_stuck(void)
{
	wanted = true;
	return stuck[0] != '\0' ? stuck : NULL;
}
