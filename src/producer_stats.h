/*-------------------------------------------------------------------------
 *
 * producer_stats.h
 *	  Which partition does not take what it is sent?
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_STATS_H
#define EV_PRODUCER_STATS_H

extern void ev_producer_stats_take(const char *json);

#endif							/* EV_PRODUCER_STATS_H */
