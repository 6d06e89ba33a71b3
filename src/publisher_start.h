/*-------------------------------------------------------------------------
 *
 * publisher_start.h
 *	  From a new process to a publisher.  For the publisher only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PUBLISHER_START_H
#define EV_PUBLISHER_START_H

extern void ev_publisher_start(void);

#endif							/* EV_PUBLISHER_START_H */
