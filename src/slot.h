/*-------------------------------------------------------------------------
 *
 * slot.h
 *	  The replication slot: create, read, confirm.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SLOT_H
#define EV_SLOT_H

#include "access/xlogdefs.h"

#include "eventuate.h"

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

/* Called again and again while something must be waited for. */
typedef void (*EvWaitCallback) (void);

extern const char *ev_slot_name(Oid database);
extern EvSlotStatus ev_slot_status(void);
extern bool ev_slot_burden(EvSlotBurden *burden);
extern bool ev_slot_exists(Oid database);
extern bool ev_slot_available(void);
extern int	ev_slot_limit(void);
extern bool ev_slot_is_held(void);
extern void ev_slot_release(void);
extern void ev_slot_drop(void);
extern void ev_slot_drop_leftovers(void);

extern void ev_slot_open(XLogRecPtr start);
extern bool ev_slot_read(void);
extern bool ev_slot_caught_up(void);
extern XLogRecPtr ev_slot_position(void);
extern XLogRecPtr ev_slot_confirmed(void);
extern void ev_slot_confirm(XLogRecPtr lsn);
extern void ev_slot_save(void);

extern void ev_slot_begin_birth(void);
extern void ev_slot_begin_birth_again(void);
extern bool ev_slot_birth_step(TransactionId *blocker);
extern void ev_slot_import_snapshot(EvWaitCallback wait);
extern void ev_slot_finish_birth(void);

#endif							/* EV_SLOT_H */
