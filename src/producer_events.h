/*-------------------------------------------------------------------------
 *
 * producer_events.h
 *	  What librdkafka has to say, an event at a time.  For producer.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_EVENTS_H
#define EV_PRODUCER_EVENTS_H

#include "producer.h"

struct rd_kafka_op_s;
struct rd_kafka_message_s;

extern void ev_producer_events_take(struct rd_kafka_op_s *event,
									EvDeliveryCallback callback);
extern void ev_producer_events_describe(EvDelivery *delivery,
										const struct rd_kafka_message_s *record,
										bool stored);

#endif							/* EV_PRODUCER_EVENTS_H */
