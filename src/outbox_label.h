/*-------------------------------------------------------------------------
 *
 * outbox_label.h
 *	  What the label of an outbox says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_OUTBOX_LABEL_H
#define EV_OUTBOX_LABEL_H

#include "datatype/timestamp.h"

#include "eventuate.h"
#include "moment.h"

/* The layouts that we can read. */
typedef enum EvFormat
{
	EV_FORMAT_EVENTUATE,		/* Tram's message table */
	EV_FORMAT_EVENTS,			/* Eventuate Local's table of events */
	EV_FORMAT_DEBEZIUM,			/* that of Debezium's outbox event router */
	EV_FORMAT_RAW				/* plain Kafka records */
} EvFormat;

/* What a column is to us; a label may rename any of them. */
typedef enum EvColumn
{
	EV_COLUMN_ID,
	EV_COLUMN_TOPIC,
	EV_COLUMN_HEADERS,
	EV_COLUMN_VALUE,
	EV_COLUMN_PUBLISHED,
	EV_COLUMN_TXID,
	EV_COLUMN_KEY,
	EV_COLUMN_PARTITION,
	EV_COLUMN_TIME,
	EV_COLUMN_DBID,
	EV_COLUMN_TYPE,
	EV_COLUMN_COUNT
} EvColumn;

/* How rows are found: in the write-ahead log, or by asking for them. */
typedef enum EvReader
{
	EV_READER_WAL,
	EV_READER_POLLING
} EvReader;

/* A column that becomes a header of the record. */
typedef struct EvPlacement
{
	const char *column;
	const char *header;
} EvPlacement;

/*
 * When rows of the table are messages: those that "since" sees are not, nor
 * those that "until" does not see.  Either may not be given.
 */
typedef struct EvPeriod
{
	EvMoment	since;			/* of the attaching */
	EvMoment	until;			/* of the detaching */
} EvPeriod;

typedef struct EvLabel
{
	EvFormat	format;
	EvReader	reader;
	const char *columns[EV_COLUMN_COUNT];	/* NULL: as is usual in the
											 * format; "": none */
	int64		outbox_id;		/* -1: none */
	const char *topic;			/* a fixed one, or a pattern for it; or NULL */
	const char *topics;			/* regular expression for those allowed; or
								 * NULL */
	EvPlacement *placements;
	int			placement_count;
	bool		expand_json;	/* debezium */
	bool		tombstone_on_empty; /* debezium */
	Interval   *retention;		/* NULL: rows are kept */
	int64		poll_interval;	/* ms; polling */
	EvPeriod	period;			/* the last one */
	EvPeriod   *earlier;		/* which may still have rows to publish */
	int			earlier_count;
} EvLabel;

/* Is the table attached, or was it only? */
static inline bool
ev_label_is_attached(const EvLabel *label)
{
	return !ev_moment_is_given(&label->period.until);
}

extern bool ev_label_parse(const char *text, EvLabel *label, const char **reason);
extern int64 ev_label_retention_ms(const EvLabel *label);
extern const char *ev_label_format_name(EvFormat format);
extern const char *ev_label_reader_name(EvReader reader);
extern const char *ev_label_column_name(EvColumn column);

#endif							/* EV_OUTBOX_LABEL_H */
