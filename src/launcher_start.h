/*-------------------------------------------------------------------------
 *
 * launcher_start.h
 *	  Has the process of a worker started.  For the launcher only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_LAUNCHER_START_H
#define EV_LAUNCHER_START_H

#include "worker.h"

extern bool ev_launcher_start(const EvWorkerTask *task, EvWorker *worker,
							  EvInstant now, long *timeout);

#endif							/* EV_LAUNCHER_START_H */
