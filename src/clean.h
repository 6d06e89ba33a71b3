/*-------------------------------------------------------------------------
 *
 * clean.h
 *	  Deleting rows that were published long ago.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_CLEAN_H
#define EV_CLEAN_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A table whose rows are to be deleted when they are that old. */
typedef struct EvCleaning
{
	Oid			relid;
	int64		retention;		/* ms */
} EvCleaning;

extern List *ev_clean_list(void);
extern bool ev_clean_table(const EvCleaning *cleaning, Datum published);

#endif							/* EV_CLEAN_H */
