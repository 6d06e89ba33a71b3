/*-------------------------------------------------------------------------
 *
 * housekeeper.h
 *	  The background worker that tidies up, now and then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_HOUSEKEEPER_H
#define EV_HOUSEKEEPER_H

#include "postgres.h"

extern PGDLLEXPORT void ev_housekeeper_main(Datum main_arg);

#endif							/* EV_HOUSEKEEPER_H */
