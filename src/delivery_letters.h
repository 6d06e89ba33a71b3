/*-------------------------------------------------------------------------
 *
 * delivery_letters.h
 *	  Messages that will never be sent.  For delivery only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_LETTERS_H
#define EV_DELIVERY_LETTERS_H

#include "position.h"
#include "spool.h"

extern void ev_delivery_letters_init(void);
extern void ev_delivery_bury(const EvSpooled *refused);
extern bool ev_delivery_letters_wait(void);
extern EvPosition ev_delivery_first_letter(void);
extern uint64 ev_delivery_buried(void);

#endif							/* EV_DELIVERY_LETTERS_H */
