/*-------------------------------------------------------------------------
 *
 * producer_watch.h
 *	  Does Kafka answer?  For producer.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_WATCH_H
#define EV_PRODUCER_WATCH_H

#include <librdkafka/rdkafka.h>

extern void ev_producer_watch_start(rd_kafka_t *producer);
extern void ev_producer_watch_up(void);
extern bool ev_producer_watch_fatal(void);
extern void ev_producer_watch_error(rd_kafka_event_t *event);
extern void ev_producer_watch_poll(void);

#endif							/* EV_PRODUCER_WATCH_H */
