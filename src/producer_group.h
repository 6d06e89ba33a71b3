/*-------------------------------------------------------------------------
 *
 * producer_group.h
 *	  Records that librdkafka gets together.  For the producer only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_GROUP_H
#define EV_PRODUCER_GROUP_H

#include <librdkafka/rdkafka.h>

#include "producer.h"

extern void ev_producer_group_open(bool keeps, int fd);
extern bool ev_producer_group_takes(const EvMessage *message);
extern bool ev_producer_group_add(rd_kafka_topic_t *topic,
								  const EvMessage *message, uint64 ticket);
extern bool ev_producer_group_flush(void);
extern void ev_producer_group_recall(void);
extern void ev_producer_group_report(EvDeliveryCallback callback);
extern bool ev_producer_is_for_now(rd_kafka_resp_err_t error);

#endif							/* EV_PRODUCER_GROUP_H */
