/*-------------------------------------------------------------------------
 *
 * insert_record.h
 *	  One row into eventuate.record.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_INSERT_RECORD_H
#define EV_INSERT_RECORD_H

/* What a record consists of; other columns are filled in. */
typedef enum EvRecordColumn
{
	EV_RECORD_TOPIC,			/* text */
	EV_RECORD_KEY,				/* bytea */
	EV_RECORD_VALUE,			/* bytea */
	EV_RECORD_HEADERS,			/* jsonb */
	EV_RECORD_PARTITION,		/* integer */
	EV_RECORD_TIME,				/* timestamptz */
	EV_RECORD_COLUMNS
} EvRecordColumn;

/* A text, bytea or jsonb; NULL is SQL's null. */
static inline NullableDatum
ev_record_varlena(const void *value)
{
	NullableDatum result = {PointerGetDatum(value), value == NULL};

	return result;
}

extern text *ev_insert_record(const NullableDatum *values);

#endif							/* EV_INSERT_RECORD_H */
