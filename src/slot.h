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

struct LogicalDecodingContext;

/* Called again and again while something must be waited for. */
typedef void (*EvWaitCallback) (void);

extern bool ev_slot_is_held(void);
extern void ev_slot_release(void);
extern void ev_slot_drop(void);

extern void ev_slot_open(XLogRecPtr start);
extern bool ev_slot_read(void (*decode) (struct LogicalDecodingContext *decoding));
extern bool ev_slot_is_unreadable(void);
extern bool ev_slot_caught_up(void);
extern XLogRecPtr ev_slot_position(void);
extern XLogRecPtr ev_slot_confirmed(void);
extern void ev_slot_confirm(XLogRecPtr lsn);
extern void ev_slot_save(void);

extern void ev_slot_allow_upgrade(void);
extern void ev_slot_begin_birth(void);
extern void ev_slot_begin_birth_again(void);
extern bool ev_slot_birth_step(TransactionId *blocker);
extern void ev_slot_import_snapshot(EvWaitCallback wait);
extern void ev_slot_finish_birth(void);

#endif							/* EV_SLOT_H */
