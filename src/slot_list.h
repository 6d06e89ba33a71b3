/*-------------------------------------------------------------------------
 *
 * slot_list.h
 *	  The server's replication slots, as anybody can see them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SLOT_LIST_H
#define EV_SLOT_LIST_H

#include "access/xlogdefs.h"

typedef enum EvSlotStatus
{
	EV_SLOT_MISSING,
	EV_SLOT_GOOD,
	EV_SLOT_LOST,				/* invalidated: WAL that it needs is gone */
	EV_SLOT_SYNCED,				/* good, and a standby's copy of the primary's */
	EV_SLOT_BUSY,				/* somebody else reads it */
	EV_SLOT_FOREIGN				/* not made by us: another plugin or database */
} EvSlotStatus;

/* What a slot costs, in bytes of WAL. */
typedef struct EvSlotBurden
{
	uint64		held;			/* cannot be removed for its sake */
	uint64		unpublished;	/* of that: behind "confirmed" */
	XLogRecPtr	restart_lsn;	/* reading begins here */
	XLogRecPtr	confirmed;
} EvSlotBurden;

extern const char *ev_slot_name(Oid database);
extern EvSlotStatus ev_slot_status(void);
extern bool ev_slot_burden(EvSlotBurden *burden);
extern bool ev_slot_exists(Oid database);
extern bool ev_slot_available(void);
extern int	ev_slot_limit(void);
extern void ev_slot_drop_leftovers(void);

#endif							/* EV_SLOT_LIST_H */
