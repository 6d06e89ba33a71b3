/*-------------------------------------------------------------------------
 *
 * lineup.h
 *	  Messages that go before all others: they have come back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_LINEUP_H
#define EV_LINEUP_H

#include "spool.h"

extern void ev_lineup_return(const EvSpooled *message, uint64 number);
extern bool ev_lineup_returning(void);
extern void ev_lineup_line_up(void);
extern void ev_lineup_release(EvSpool *spool);
extern const EvSpooled *ev_lineup_first(void);
extern void ev_lineup_drop_first(void);

#endif							/* EV_LINEUP_H */
