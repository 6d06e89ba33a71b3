/*-------------------------------------------------------------------------
 *
 * poller.h
 *	  The background worker that asks an outbox for its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_POLLER_H
#define EV_POLLER_H

#include "postgres.h"

extern PGDLLEXPORT void ev_poller_main(Datum main_arg);

#endif							/* EV_POLLER_H */
