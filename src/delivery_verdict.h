/*-------------------------------------------------------------------------
 *
 * delivery_verdict.h
 *	  What becomes of a refused message?  For delivery only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_VERDICT_H
#define EV_DELIVERY_VERDICT_H

#include "delivery_record.h"

extern void ev_delivery_refuse(EvRecord *record, const EvSpooled *refused,
							   bool at_once, bool undecided);
extern bool ev_delivery_refused_record(void);

#endif							/* EV_DELIVERY_VERDICT_H */
