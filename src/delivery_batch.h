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

extern void ev_delivery_batch_sent(const EvRecord *record);
extern void ev_delivery_batch_stored(EvRecord *record);
extern void ev_delivery_batch_serve(void);

#endif							/* EV_DELIVERY_BATCH_H */
