/*-------------------------------------------------------------------------
 *
 * moment.h
 *	  A moment in the life of a cluster: who was finished, who was running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_MOMENT_H
#define EV_MOMENT_H

/*
 * A pg_snapshot that names subtransactions as well, so that xmin can be told
 * by it.  It says something only in the cluster and the database where it was
 * taken; 0: none.
 */
typedef struct EvMoment
{
	Datum		snapshot;
	bool		overflowed;		/* not all subtransactions are named */
	const char *system;
	Oid			database;
} EvMoment;

extern char *ev_moment_now(bool with_us);
extern char *ev_moment_print(const EvMoment *moment);
extern bool ev_moment_is_given(const EvMoment *moment);
extern bool ev_moment_counts(const EvMoment *moment);
extern bool ev_moment_sees_txid(const EvMoment *moment, Datum txid);
extern bool ev_moment_sees_xmin(const EvMoment *moment, TransactionId xmin,
								bool if_in_doubt);

#endif							/* EV_MOMENT_H */
