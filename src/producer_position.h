/*-------------------------------------------------------------------------
 *
 * producer_position.h
 *	  A position that Kafka keeps.  For producer_transaction.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_POSITION_H
#define EV_PRODUCER_POSITION_H

#include <librdkafka/rdkafka.h>

#include "producer_transaction.h"

extern void ev_producer_position_prepare(rd_kafka_t *rk);
extern bool ev_producer_position_read(const rd_kafka_conf_t *reader_conf,
									  EvStoredPosition *position,
									  char *error, size_t error_size);
extern rd_kafka_error_t *ev_producer_position_send(rd_kafka_t *rk,
												   const char *group,
												   const EvStoredPosition *position);

#endif							/* EV_PRODUCER_POSITION_H */
