/*-------------------------------------------------------------------------
 *
 * row_reader.h
 *	  What the readers of the several formats have in common.
 *
 * For the files row*.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_ROW_READER_H
#define EV_ROW_READER_H

#include "row.h"

/*
 * What is needed while one row is read.  Everything lives in the current
 * memory context.  Once "reason" is set the row is malformed.
 */
typedef struct RowReader
{
	const EvOutbox *outbox;
	Datum	   *values;
	bool	   *nulls;
	const char *reason;
} RowReader;

/* Is there no such column, or no value in it? */
static inline bool
ev_row_is_null(const RowReader *reader, EvColumn column)
{
	AttrNumber	attnum = reader->outbox->columns[column];

	return attnum == 0 || reader->nulls[attnum - 1];
}

/* What is in a column that is not null. */
static inline Datum
ev_row_value(const RowReader *reader, EvColumn column)
{
	return reader->values[reader->outbox->columns[column] - 1];
}

/* row_value.c */
extern const char *ev_row_text(RowReader *reader, EvColumn column, size_t *length);
extern char *ev_row_copy(const char *text, size_t length);
extern char *ev_row_cstring(RowReader *reader, EvColumn column);
extern const char *ev_row_bytes(RowReader *reader, EvColumn column, size_t *length);
extern int64 ev_row_integer(const RowReader *reader, EvColumn column);
extern int64 ev_row_epoch_ms(RowReader *reader, EvColumn column);
extern const char *ev_row_print(RowReader *reader, Datum value, Oid type,
								size_t *length);
extern bool ev_row_prints_without_catalogs(Oid type);
extern const char *ev_row_to_utf8(RowReader *reader, const char *text,
								  size_t length, size_t *utf8_length);

/* row_connect.c */
extern const char *ev_row_connect_text(RowReader *reader, Datum value, Oid type,
									   int32 typmod, size_t *length);
extern bool ev_row_connects_without_catalogs(Oid type);

/* One for each format: fills in the message, or says why it cannot. */
extern bool ev_row_read_eventuate(RowReader *reader, EvMessage *message);
extern bool ev_row_read_events(RowReader *reader, EvMessage *message);
extern const char *ev_row_events_topic(const char *entity_type);
extern bool ev_row_read_debezium(RowReader *reader, EvMessage *message);
extern bool ev_row_read_raw(RowReader *reader, EvMessage *message);

#endif							/* EV_ROW_READER_H */
