/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The background worker that starts the others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_LAUNCHER_H
#define EV_LAUNCHER_H

#include "postgres.h"

extern PGDLLEXPORT void ev_launcher_main(Datum main_arg);

extern void ev_launcher_register(void);

#endif							/* EV_LAUNCHER_H */
