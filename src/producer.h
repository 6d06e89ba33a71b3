/*-------------------------------------------------------------------------
 *
 * producer.h
 *	  The librdkafka producer: records out, delivery reports in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_H
#define EV_PRODUCER_H

#include "eventuate.h"

struct rd_kafka_conf_s;

typedef enum EvSendResult
{
	EV_SEND_QUEUED,				/* its delivery will be reported, or counted */
	EV_SEND_FULL,				/* queue full: serve reports, then try again */
	EV_SEND_REFUSED				/* Kafka will never take it */
} EvSendResult;

/* Kafka's verdict on one record. */
typedef struct EvDelivery
{
	uint64		ticket;			/* as passed to ev_producer_send */
	bool		delivered;
	const char *topic;
	int32		partition;
	const char *key;			/* not NUL-terminated */
	size_t		key_length;
	const char *value;			/* not NUL-terminated */
	size_t		value_length;
	/* Only if it was not delivered: */
	const EvHeader *headers;
	int			header_count;
	bool		undecided;		/* neither stored nor refused, for all we
								 * know: to be sent again */
	const char *error_name;		/* Kafka's name of the error, constant */
	const char *error;			/* the same in words, constant */
} EvDelivery;

/* What the producer tells of the cluster between delivery reports. */
typedef enum EvKafkaState
{
	EV_KAFKA_UNKNOWN,			/* has not answered yet */
	EV_KAFKA_UP,
	EV_KAFKA_DOWN,				/* see ev_producer_error() */
	EV_KAFKA_FATAL				/* this producer can go on no more */
} EvKafkaState;

typedef void (*EvDeliveryCallback) (const EvDelivery *delivery);

extern bool ev_producer_open(struct rd_kafka_conf_s *conf, char **error);
extern int	ev_producer_fd(void);
extern EvSendResult ev_producer_send(const EvMessage *message, uint64 ticket,
									 const char **error_name,
									 const char **error);
extern bool ev_producer_holds(void);
extern void ev_producer_push(void);
extern void ev_producer_recall(void);
extern void ev_producer_poll(EvDeliveryCallback callback);
extern uint64 ev_producer_wakes(void);
extern EvKafkaState ev_producer_state(void);
extern const char *ev_producer_error(void);
extern const char *ev_producer_stuck(void);
extern bool ev_producer_close(void);

#endif							/* EV_PRODUCER_H */
