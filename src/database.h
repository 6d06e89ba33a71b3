/*-------------------------------------------------------------------------
 *
 * database.h
 *	  Commands on databases and on the extension itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DATABASE_H
#define EV_DATABASE_H

extern void ev_database_init(void);

#endif							/* EV_DATABASE_H */
