/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  One row into an outbox, with the rights of the current user.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_INSERT_H
#define EV_INSERT_H

/* The tables that the functions write to, all in schema "eventuate". */
typedef enum EvTable
{
	EV_TABLE_MESSAGE,
	EV_TABLE_RECORD
} EvTable;

/* A table has at most so many columns that the functions know. */
#define EV_MAX_FIELDS 9

/* What an adopted table, which others made, need not have. */
typedef enum EvFieldUse
{
	EV_FIELD_REQUIRED,
	EV_FIELD_OPTIONAL,			/* left out if there is no such column */
	EV_FIELD_DEFAULT			/* always left to the column's default */
} EvFieldUse;

/* One column of the new row.  A text may go into any type made of text. */
typedef struct EvField
{
	const char *name;
	Oid			type;
	EvFieldUse	use;
	bool		isnull;
	Datum		value;
} EvField;

/* insert_field.c */
extern EvField ev_field_varlena(const char *name, Oid type, const void *value);
extern EvField ev_field_optional(const char *name, Oid type, Datum value);
extern EvField ev_field_creation_time(void);
extern EvField ev_field_txid(void);

extern void ev_insert_row(EvTable table, const EvField *fields, int count);

#endif							/* EV_INSERT_H */
