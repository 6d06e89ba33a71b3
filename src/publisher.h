/*-------------------------------------------------------------------------
 *
 * publisher.h
 *	  The background worker that publishes one database's messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PUBLISHER_H
#define EV_PUBLISHER_H

#include "postgres.h"

extern PGDLLEXPORT void ev_publisher_main(Datum main_arg);

#endif							/* EV_PUBLISHER_H */
