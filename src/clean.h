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

/* In ms: how soon to look again where there is nothing to do, for now. */
#define EV_CLEAN_IDLE 600000

extern int64 ev_clean_interval(int64 retention);
extern List *ev_clean_list(void);
extern bool ev_clean_table(const EvCleaning *cleaning, Datum published);

#endif							/* EV_CLEAN_H */
