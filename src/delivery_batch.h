/*-------------------------------------------------------------------------
 *
 * delivery_batch.h
 *	  Records that count only together.  For delivery only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_BATCH_H
#define EV_DELIVERY_BATCH_H

#include "delivery_record.h"

extern EvRecord *ev_delivery_batch_keep(const EvRecord *record,
										const EvMessage *message);
extern void ev_delivery_batch_sent(EvRecord *record);
extern void ev_delivery_batch_failed(const EvRecord *record);
extern void ev_delivery_batch_serve(void);

#endif							/* EV_DELIVERY_BATCH_H */
