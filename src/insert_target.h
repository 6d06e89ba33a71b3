/*-------------------------------------------------------------------------
 *
 * insert_target.h
 *	  What a session knows of the tables that the functions write to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_INSERT_TARGET_H
#define EV_INSERT_TARGET_H

#include "executor/spi.h"
#include "utils/rel.h"

#include "insert.h"

typedef struct EvTarget
{
	const char *name;
	Oid			relid;			/* InvalidOid: to be described again */
	bool		direct;			/* rows may take the short way */
	AttrNumber	columns[EV_MAX_FIELDS]; /* by field; 0: none */

	/* For insert.c, which fills them in. */
	bool		planned;		/* plan is that of this description */
	char	   *command;		/* what plan was made of */
	SPIPlanPtr	plan;
} EvTarget;

extern EvTarget *ev_insert_open(EvTable table, const EvField *fields, int count,
								Relation *relation);

#endif							/* EV_INSERT_TARGET_H */
