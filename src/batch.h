/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  The records of one transaction of Kafka's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_BATCH_H
#define EV_BATCH_H

#include "position.h"

typedef enum EvBatchNews
{
	EV_BATCH_NO_NEWS,
	EV_BATCH_COMMITTED,			/* all of its records are on Kafka */
	EV_BATCH_ABORTED			/* none of them is, nor ever will be */
} EvBatchNews;

extern bool ev_batch_on(void);
extern bool ev_batch_takes(uint64 limit);
extern bool ev_batch_join(void);
extern void ev_batch_add(size_t bytes);
extern uint64 ev_batch_count(void);
extern bool ev_batch_is_new(void);
extern bool ev_batch_ripe(EvInstant now, uint64 limit);
extern void ev_batch_close(void);
extern bool ev_batch_is_closed(void);
extern void ev_batch_break(void);
extern void ev_batch_commit(const EvPosition *position);
extern EvBatchNews ev_batch_step(bool all_reported);
extern EvInstant ev_batch_since(void);

extern void ev_batch_resume(XLogRecPtr lsn);
extern XLogRecPtr ev_batch_committed(void);
extern EvInstant ev_batch_committed_at(void);

#endif							/* EV_BATCH_H */
