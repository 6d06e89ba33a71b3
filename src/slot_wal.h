/*-------------------------------------------------------------------------
 *
 * slot_wal.h
 *	  Is the WAL there that the slot is to be read from?
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SLOT_WAL_H
#define EV_SLOT_WAL_H

extern bool ev_slot_wal_is_there(void);

#endif							/* EV_SLOT_WAL_H */
