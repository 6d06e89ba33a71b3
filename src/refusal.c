/*-------------------------------------------------------------------------
 *
 * refusal.c
 *	  Topics whose messages are held back for a while.
 *
 * A topic that Kafka does not know, or to which we may not write, is often a
 * deployment under way.  So its messages are held for eventuate.refusal_grace,
 * all of them, in order; a copy of the first is tried now and then.  Other
 * topics flow.  Once the grace is over what is held becomes dead letters, and
 * so does whatever comes after, until Kafka accepts a message of the topic.
 *
 * Memory: whoever may send may name any topic, so there is a grace only for so
 * many at a time.  Messages of further ones become dead letters at once.
 *
 * A restart begins anew: what was held is still in WAL.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "refusal.h"
#include "settings.h"

/* How often, in ms, the first message of a held topic is tried. */
#define RETRY_INTERVAL 1000

/* Topics that are known to be refused; fewer than a producer keeps handles of. */
#define MAX_TOPICS 500

/* What is held of each, in memory, in kB. */
#define TOPIC_MEMORY 64

/* Instead of a time: it is being tried. */
#define UNDER_WAY PG_INT64_MAX

typedef struct Topic
{
	char		name[EV_TOPIC_MAX_LENGTH + 1];	/* hash key */
	EvSpool    *held;			/* NULL: nothing */
	EvInstant	refused_at;		/* first, since it was last accepted */
	TimestampTz refused_time;	/* the same, to be shown */
	bool		put_off;		/* a message waits outside of here */
	EvInstant	next_try;		/* of the first that is held, or waits */
} Topic;

static HTAB *topics = NULL;

static Topic *
find_topic(const char *name)
{
	return topics == NULL ? NULL : hash_search(topics, name, HASH_FIND, NULL);
}

/* Has it been refused for longer than the grace? */
static bool
is_expired(const Topic *topic, EvInstant now)
{
	return now - topic->refused_at >= ev_refusal_grace * INT64CONST(1000000);
}

/* Forgets a topic whose grace is over; false: there is none. */
static bool
forget_expired(EvInstant now)
{
	HASH_SEQ_STATUS scan;
	Topic	   *topic;

	hash_seq_init(&scan, topics);
	while ((topic = hash_seq_search(&scan)) != NULL)
	{
		if (topic->held != NULL || !is_expired(topic, now))
			continue;
		hash_seq_term(&scan);
		hash_search(topics, topic->name, HASH_REMOVE, NULL);
		return true;
	}
	return false;
}

/* The topic, which is known from now on; NULL: there are too many. */
static Topic *
make_topic(const char *name, EvInstant now)
{
	HASHCTL		ctl;
	Topic	   *topic;
	bool		found;

	if (topics == NULL)
	{
		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = EV_TOPIC_MAX_LENGTH + 1;
		ctl.entrysize = sizeof(Topic);
		ctl.hcxt = TopMemoryContext;
		topics = hash_create("eventuate refused topics", 16, &ctl,
							 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	if (find_topic(name) == NULL &&
		hash_get_num_entries(topics) >= MAX_TOPICS && !forget_expired(now))
		return NULL;
	topic = hash_search(topics, name, HASH_ENTER, &found);
	if (!found)
	{
		topic->held = NULL;
		topic->put_off = false;
		topic->refused_at = topic->next_try = now;
		topic->refused_time = GetCurrentTimestamp();
	}
	return topic;
}

/* Errors that may go away by themselves, or by somebody's next command. */
bool
ev_refusal_may_pass(const char *error_name)
{
	static const char *const names[] = {
		"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC",
		"TOPIC_AUTHORIZATION_FAILED"
	};

	for (int i = 0; error_name != NULL && i < lengthof(names); i++)
	{
		if (strcmp(names[i], error_name) == 0)
			return true;
	}
	return false;
}

/* Is any topic refused, or was it until a moment ago? */
bool
ev_refusal_any(void)
{
	return topics != NULL && hash_get_num_entries(topics) > 0;
}

/* Are messages of this topic to be held? */
bool
ev_refusal_holds(const char *topic)
{
	Topic	   *entry = find_topic(topic);

	return entry != NULL && entry->held != NULL;
}

/* Has the topic been refused for longer than the grace? */
bool
ev_refusal_expired(const char *topic, EvInstant now)
{
	Topic	   *entry = find_topic(topic);

	return entry != NULL && is_expired(entry, now);
}

/*
 * A message of the topic was refused for an error that may pass.  From now on
 * it and all others of its topic are to be held; false: they are to become dead
 * letters.
 */
bool
ev_refusal_begin(const char *name, EvInstant now)
{
	Topic	   *topic = make_topic(name, now);

	if (topic == NULL)
		return false;
	if (topic->held != NULL)
		return true;
	if (is_expired(topic, now))
		return false;
	topic->held = ev_spool_create(TOPIC_MEMORY);
	topic->next_try = now;
	return true;
}

/* Holds a message behind others.  Only of a topic that is held. */
void
ev_refusal_hold(const EvSpooled *message)
{
	Topic	   *topic = find_topic(message->message.topic);

	Assert(topic != NULL && topic->held != NULL);
	ev_spool_put(topic->held, message);
}

/*
 * A message was refused that cannot be held, since nothing may pass it: it is
 * to be tried again later.  False: it is to become a dead letter.
 */
bool
ev_refusal_put_off(const EvSpooled *refused, EvInstant now)
{
	const char *name = refused->message.topic;
	Topic	   *topic;

	if (!ev_refusal_may_pass(refused->error_name))
		return false;
	topic = make_topic(name, now);
	if (topic == NULL)
		return false;
	topic->put_off = !is_expired(topic, now);
	topic->next_try = now + RETRY_INTERVAL * INT64CONST(1000);
	return topic->put_off;
}

/* Is it too early for the next try of such a message? */
bool
ev_refusal_is_put_off(const char *topic, EvInstant now)
{
	Topic	   *entry = find_topic(topic);

	return entry != NULL && entry->put_off && now < entry->next_try;
}

/*
 * The first message of a topic whose next try is due, in the current memory
 * context; false: there is none.  It stays held; ev_refusal_try_later() or
 * ev_refusal_release() ends the try.
 */
bool
ev_refusal_due(EvInstant now, EvSpooled *first)
{
	HASH_SEQ_STATUS scan;
	Topic	   *topic;

	if (topics == NULL)
		return false;
	hash_seq_init(&scan, topics);
	while ((topic = hash_seq_search(&scan)) != NULL)
	{
		if (topic->held == NULL || now < topic->next_try)
			continue;
		hash_seq_term(&scan);
		Assert(ev_spool_count(topic->held) > 0);
		topic->next_try = UNDER_WAY;
		return ev_spool_peek(topic->held, first);
	}
	return false;
}

/* The try has failed.  Only of a topic that is held. */
void
ev_refusal_try_later(const char *topic, EvInstant now)
{
	Topic	   *entry = find_topic(topic);

	Assert(entry != NULL && entry->held != NULL);
	entry->next_try = now + RETRY_INTERVAL * INT64CONST(1000);
}

/*
 * What is held of a topic is the caller's from now on, to be sent before all
 * that comes later, and to be destroyed.  Only of a topic that is held.
 */
EvSpool *
ev_refusal_release(const char *topic)
{
	Topic	   *entry = find_topic(topic);
	EvSpool    *held;

	Assert(entry != NULL && entry->held != NULL);
	held = entry->held;
	entry->held = NULL;
	return held;
}

/* Kafka took a message of the topic: all is forgotten. */
void
ev_refusal_accepted(const char *topic)
{
	Topic	   *entry = find_topic(topic);

	if (entry != NULL && entry->held == NULL)
		hash_search(topics, topic, HASH_REMOVE, NULL);
}

/* Why messages are held, or NULL; a static buffer. */
const char *
ev_refusal_explain(void)
{
	static char text[EV_TOPIC_MAX_LENGTH + 200];
	HASH_SEQ_STATUS scan;
	Topic	   *topic;

	if (topics == NULL)
		return NULL;
	hash_seq_init(&scan, topics);
	while ((topic = hash_seq_search(&scan)) != NULL)
	{
		if (topic->held == NULL && !topic->put_off)
			continue;
		hash_seq_term(&scan);
		snprintf(text, sizeof(text),
				 "Kafka does not know topic \"%s\", or does not let us write to it; its messages are held until %s, then they become dead letters",
				 topic->name,
				 timestamptz_to_str(topic->refused_time +
									ev_refusal_grace * INT64CONST(1000000)));
		return text;
	}
	return NULL;
}
