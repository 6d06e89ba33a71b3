/*-------------------------------------------------------------------------
 *
 * producer_transaction.h
 *	  Kafka's transactions: records and a position, both or neither.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PRODUCER_TRANSACTION_H
#define EV_PRODUCER_TRANSACTION_H

#include "eventuate.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;

/* What is kept beside a position, with its NUL. */
#define EV_POSITION_NOTE_SIZE 128

typedef enum EvTransactionState
{
	EV_TRANSACTION_NONE,		/* this producer has no transactions */
	EV_TRANSACTION_BUSY,		/* Kafka is being asked for something */
	EV_TRANSACTION_OPEN,		/* records may be sent */
	EV_TRANSACTION_BROKEN,		/* could not be committed; to be aborted */
	EV_TRANSACTION_FAILED		/* this producer can go on no more */
} EvTransactionState;

/* What Kafka keeps for us; lsn invalid: nothing. */
typedef struct EvStoredPosition
{
	XLogRecPtr	lsn;
	char		note[EV_POSITION_NOTE_SIZE];
} EvStoredPosition;

extern bool ev_producer_is_transactional(void);
extern void ev_producer_start_transactions(void);
extern EvTransactionState ev_producer_transaction_state(void);
extern EvInstant ev_producer_transaction_asked_at(void);
extern const char *ev_producer_transaction_error(void);
extern const EvStoredPosition *ev_producer_stored_position(void);
extern void ev_producer_join(void);
extern void ev_producer_commit(const EvStoredPosition *position);
extern void ev_producer_set_sound(bool sound);
extern void ev_producer_abort(void);

/* For producer.c only. */
extern bool ev_producer_transactions_open(struct rd_kafka_s *producer,
										  struct rd_kafka_conf_s *reader_conf,
										  int wake_fd);
extern bool ev_producer_transactions_close(void);

#endif							/* EV_PRODUCER_TRANSACTION_H */
