/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  Which tables are outboxes, and what their columns are to us.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_OUTBOX_H
#define EV_OUTBOX_H

#include "access/attnum.h"
#include "utils/relcache.h"

#include "eventuate.h"

/* The layouts that we can read; a table's label names its own. */
typedef enum EvFormat
{
	EV_FORMAT_EVENTUATE,		/* Tram's message table */
	EV_FORMAT_RECORD			/* plain Kafka records */
} EvFormat;

/* What a column is to us; the order is that of the tables in outbox.c. */
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
	EV_COLUMN_COUNT
} EvColumn;

typedef struct EvOutbox
{
	EvFormat	format;
	AttrNumber	columns[EV_COLUMN_COUNT];	/* 0: the table has none */
	Oid			types[EV_COLUMN_COUNT];
	const char *problem;		/* why no row of it can be read, or NULL */
} EvOutbox;

extern bool ev_outbox_is_labelled(Oid relid);
extern bool ev_outbox_label(Oid relid, EvFormat format);
extern void ev_outbox_init(void);
extern const EvOutbox *ev_outbox_find(Relation relation);

#endif							/* EV_OUTBOX_H */
