/*-------------------------------------------------------------------------
 *
 * producer_tally.h
 *	  How many records of transactions Kafka has stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_TALLY_H
#define EV_PRODUCER_TALLY_H

struct rd_kafka_conf_s;

extern uint64 ev_producer_stored(void);

/* For producer.c only. */
extern bool ev_producer_tally_watch(struct rd_kafka_conf_s *conf);
extern void ev_producer_tally_poll(void);

#endif							/* EV_PRODUCER_TALLY_H */
