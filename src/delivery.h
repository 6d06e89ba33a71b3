/*-------------------------------------------------------------------------
 *
 * delivery.h
 *	  From decoded message to acknowledged record.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_H
#define EV_DELIVERY_H

#include "eventuate.h"
#include "position.h"
#include "shared.h"

extern const EvSink ev_delivery_sink;

extern void ev_delivery_init(EvDatabase *database, void (*wait) (long timeout_ms));
extern void ev_delivery_serve(void);
extern void ev_delivery_store_letters(void);
extern void ev_delivery_flush(void);
extern void ev_delivery_push(void);
extern bool ev_delivery_answered(void);
extern void ev_delivery_resume(const EvPosition *from);
extern bool ev_delivery_store_position(XLogRecPtr lsn);
extern XLogRecPtr ev_delivery_confirmable(XLogRecPtr safe);
extern bool ev_delivery_may_use_tables(void);
extern bool ev_delivery_idle(void);
extern bool ev_delivery_full(void);
extern XLogRecPtr ev_delivery_safe_lsn(void);
extern TimestampTz ev_delivery_safe_time(void);
extern EvInstant ev_delivery_oldest(void);
extern EvInstant ev_delivery_acknowledged_at(void);
extern uint64 ev_delivery_sent(void);
extern uint64 ev_delivery_acknowledged(void);
extern const char *ev_delivery_failure(void);

#endif							/* EV_DELIVERY_H */
