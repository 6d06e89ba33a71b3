/*-------------------------------------------------------------------------
 *
 * lineage.h
 *	  Of which cluster are the ids of transactions that we remember?
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_LINEAGE_H
#define EV_LINEAGE_H

extern uint64 ev_lineage(void);

#endif							/* EV_LINEAGE_H */
