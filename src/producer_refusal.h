/*-------------------------------------------------------------------------
 *
 * producer_refusal.h
 *	  Nothing overtakes what a broker has refused.  For producer only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_REFUSAL_H
#define EV_PRODUCER_REFUSAL_H

#include <librdkafka/rdkafka.h>

extern void ev_producer_refusal_watch(rd_kafka_conf_t *conf, int wake_fd);
extern bool ev_producer_refusal_waits(void);
extern void ev_producer_refusal_go_on(void);
extern bool ev_producer_refusal_expected(void);
extern void ev_producer_refusal_reported(rd_kafka_resp_err_t error);
extern void ev_producer_refusal_end(void);

#endif							/* EV_PRODUCER_REFUSAL_H */
