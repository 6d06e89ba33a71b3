/*-------------------------------------------------------------------------
 *
 * eventuate.h
 *	  The vocabulary that every module shares.
 *
 * This is floor 0: it includes no other header of ours.  A message is what an
 * application sends; a record is what Kafka stores of it.  EvMessage is the
 * one form in which a message travels inside the publisher: the decoder (and
 * recovery, which reads the tables) builds it, the producer hands it to Kafka,
 * and neither knows the other.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef EVENTUATE_H
#define EVENTUATE_H

#ifndef FRONTEND
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "portability/instr_time.h"
#endif

/* Kafka's own limit on the name of a topic, in bytes. */
#define EV_TOPIC_MAX_LENGTH 249

/* What Kafka's record format adds to key, value and headers; an upper bound. */
#define EV_RECORD_OVERHEAD 100

/* More headers than this are refused: what they cost does not show in a row's size. */
#define EV_MAX_HEADERS 1000000

/* EvMessage.partition: let the partitioner choose. */
#define EV_ANY_PARTITION (-1)

/* Length of a message id in text form, without a terminating NUL. */
#define EV_ID_LENGTH 33

/* One header of a Kafka record; value == NULL is Kafka's null. */
typedef struct EvHeader
{
	const char *name;			/* NUL-terminated UTF-8 */
	const char *value;
	size_t		value_length;
} EvHeader;

/*
 * A message, ready to become a Kafka record.  All text is UTF-8.  Pointers
 * belong to whoever built the message and are valid only during the call
 * that passes it on.
 */
typedef struct EvMessage
{
	const char *id;				/* NUL-terminated; names the row in errors */
	const char *topic;			/* NUL-terminated */
	const char *key;			/* NULL: no key */
	size_t		key_length;
	const char *value;			/* NULL: a tombstone */
	size_t		value_length;
	const EvHeader *headers;
	int			header_count;
	int32		partition;		/* or EV_ANY_PARTITION */
	int64		timestamp;		/* ms since 1970; 0: the time of publishing */
} EvMessage;

/*
 * Asks the processor for memory that is needed soon, and not yet.  Any address
 * will do.
 */
#ifdef __GNUC__
#define ev_prefetch(address) __builtin_prefetch(address, 1)
#else
#define ev_prefetch(address) ((void) 0)
#endif

/* The same for so many bytes; 64 are what a processor's cache holds together. */
static inline void
ev_prefetch_bytes(uintptr_t address, size_t size)
{
	for (size_t at = 0; at < size; at += 64)
		ev_prefetch((void *) (address + at));
}

#ifndef FRONTEND
/* A point in time as Kafka and Eventuate count it: ms since 1970. */
static inline int64
ev_epoch_ms(TimestampTz time)
{
	/* Rounded down; in this order, since times go up to the end of int64. */
	return time / 1000 - (time % 1000 < 0) +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (USECS_PER_DAY / 1000);
}

/* An interval in ms, with months of 30 days. */
static inline int64
ev_interval_ms(const Interval *interval)
{
	return (interval->month * INT64CONST(30) + interval->day) * (USECS_PER_DAY / 1000) +
		interval->time / 1000;
}

static inline TimestampTz
ev_time_of_epoch_ms(int64 ms)
{
	return ms * 1000 - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/*
 * An instant, in microseconds of a clock that nobody sets: how long something
 * takes or is to wait is told by it.  The same for all processes; 0 is long
 * ago.
 */
typedef int64 EvInstant;

static inline EvInstant
ev_instant_now(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (EvInstant) INSTR_TIME_GET_MICROSEC(now);
}

/* Have so many ms passed from "since" to "now"? */
static inline bool
ev_instant_passed(EvInstant since, EvInstant now, int64 ms)
{
	return now - since >= ms * 1000;
}

/*
 * Which transaction a message comes from.  end_lsn is the end of its commit
 * record: the only position by which publishing is ever resumed.  Recovery,
 * which reads tables, passes InvalidXLogRecPtr.
 */
typedef struct EvOrigin
{
	XLogRecPtr	end_lsn;
	TransactionId xid;
	TimestampTz commit_time;
	Oid			outbox;			/* the table with the label */
} EvOrigin;

/*
 * Where decoded messages go.  Calls come in commit order: for each
 * transaction with something for us its messages in the order in which they
 * were sent, then one commit.  malformed() reports a row that cannot be a
 * message, with what could be read of it; it names the row and says why.  Any
 * of them may throw.
 */
typedef struct EvSink
{
	void		(*message) (const EvOrigin *origin, const EvMessage *message);
	void		(*malformed) (const EvOrigin *origin, const EvMessage *message,
							  const char *row, const char *reason);
	void		(*commit) (const EvOrigin *origin);
} EvSink;
#endif

#endif							/* EVENTUATE_H */
