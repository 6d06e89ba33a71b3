/*-------------------------------------------------------------------------
 *
 * delivery_record.h
 *	  What is known of a message until Kafka has it.  For delivery only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_RECORD_H
#define EV_DELIVERY_RECORD_H

#include "lib/ilist.h"

#include "inflight.h"
#include "position.h"
#include "spool.h"

/* Is the record a test? */
typedef enum EvTrial
{
	EV_TRIAL_NONE,
	EV_TRIAL_ALONE,				/* of itself: it may be what Kafka refuses */
	EV_TRIAL_TOPIC				/* of its topic; the message is also held */
} EvTrial;

/*
 * What is known of a record until it is acknowledged; the producer's opaque.
 * What a delivery report needs comes first, close together.
 */
typedef struct EvRecord
{
	dlist_node	node;			/* in the producer, but for batches */
	EvTicket	ticket;
	EvMessage  *kept;			/* in a batch: what was sent */
	uint32		place;			/* in the batch */
	EvTrial		trial;
	bool		suspect;		/* was refused, perhaps for another's sake */
	bool		pooled;			/* is it of a pool? */
	EvInstant	handed_at;		/* since when; but for batches */
	EvOrigin	origin;
	uint64		number;			/* in the order of decoding */
	int64		position;		/* of the message in its transaction */
	XLogRecPtr	behind;			/* all that ends there goes before it */
	int32		partition;		/* these two as they were asked for */
	int64		timestamp;
	int			attempts;
	char		id[FLEXIBLE_ARRAY_MEMBER];
} EvRecord;

extern void ev_delivery_record_init(void);
extern bool ev_delivery_begin(const EvOrigin *origin);
extern void ev_delivery_commit(const EvOrigin *origin);
extern bool ev_delivery_skip(const EvOrigin *origin);
extern EvRecord *ev_delivery_make_record(const EvOrigin *origin,
										 const EvMessage *message);
extern EvRecord *ev_delivery_copy_record(const EvSpooled *message);
extern EvSpooled ev_delivery_with_record(EvRecord *record,
										 const EvMessage *message);
extern EvRecord *ev_delivery_keep(MemoryContext context,
								  const EvRecord *record,
								  const EvMessage *message);
extern size_t ev_delivery_size(const EvMessage *message);
extern void ev_delivery_free_record(EvRecord *record);
extern EvPosition ev_delivery_position_of(const EvRecord *record);
extern EvPosition ev_delivery_whole(void);
extern bool ev_delivery_between(void);
extern bool ev_delivery_has_part(void);
extern void ev_delivery_pass(XLogRecPtr lsn);
extern void ev_delivery_start_at(const EvPosition *from);
extern void ev_delivery_done(EvTicket ticket);
extern uint64 ev_delivery_in_flight(void);
extern uint64 ev_delivery_unconfirmed(void);

#endif							/* EV_DELIVERY_RECORD_H */
