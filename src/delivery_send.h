/*-------------------------------------------------------------------------
 *
 * delivery_send.h
 *	  Records that the producer has.  For delivery only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_SEND_H
#define EV_DELIVERY_SEND_H

#include "delivery_record.h"

extern void ev_delivery_send_init(void (*wait) (long timeout_ms));
extern void ev_delivery_wait(void);
extern void ev_delivery_wait_for(long timeout_ms);
extern bool ev_delivery_room(void);
extern bool ev_delivery_hand_over(EvRecord *record, const EvMessage *message);
extern bool ev_delivery_producer_empty(void);
extern bool ev_delivery_trying(void);
extern uint64 ev_delivery_limit(void);
extern void ev_delivery_begin_small(void);
extern void ev_delivery_nothing_tried(void);
extern void ev_delivery_accepted(const EvRecord *record, const char *topic);
extern void ev_delivery_acknowledged_more(uint64 count, size_t bytes);
extern void ev_delivery_poll(void);
extern uint64 ev_delivery_acknowledged_bytes(void);

#endif							/* EV_DELIVERY_SEND_H */
