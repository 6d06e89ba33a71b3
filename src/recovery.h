/*-------------------------------------------------------------------------
 *
 * recovery.h
 *	  Publishing from the tables, where there is no slot to read from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_RECOVERY_H
#define EV_RECOVERY_H

#include "eventuate.h"

/* What recovery needs of the publisher. */
typedef struct EvRecoveryHost
{
	const EvSink *sink;			/* takes the messages; waits if need be */
	void		(*wait) (void); /* one turn: serves everything, naps */
	void		(*begin) (void);	/* a round: the last moment to leave */
	void		(*drain) (void);	/* returns when all is acknowledged */
	void		(*settled) (void);	/* all is; the slot may begin where it is */
	void		(*blocked) (TransactionId blocker); /* the slot waits for it */
	void		(*held_back) (void);	/* standbys are waited for */
} EvRecoveryHost;

extern void ev_recovery_run(const EvRecoveryHost *host, Datum published);

#endif							/* EV_RECOVERY_H */
