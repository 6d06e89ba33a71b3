/*-------------------------------------------------------------------------
 *
 * table.h
 *	  Commands on outbox tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_TABLE_H
#define EV_TABLE_H

extern void ev_table_init(void);

#endif							/* EV_TABLE_H */
