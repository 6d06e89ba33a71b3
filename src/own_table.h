/*-------------------------------------------------------------------------
 *
 * own_table.h
 *	  SQL on tables of ours, where others may rename and create.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_OWN_TABLE_H
#define EV_OWN_TABLE_H

struct _DestReceiver;

/* A command, as SPI_execute_with_args() takes it. */
typedef struct EvCommand
{
	const char *text;
	int			count;			/* of parameters */
	const Oid  *types;
	Datum	   *values;
	const char *nulls;
	bool		read_only;
	struct _DestReceiver *receiver; /* of the rows, instead of SPI; there are
									 * no parameters then */
} EvCommand;

extern Oid	ev_own_table(const char *name);
extern int	ev_own_execute(const EvCommand *command);
extern int	ev_own_execute_on(Oid relid, const EvCommand *command);

#endif							/* EV_OWN_TABLE_H */
