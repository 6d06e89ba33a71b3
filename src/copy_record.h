/*-------------------------------------------------------------------------
 *
 * copy_record.h
 *	  Messages that go through eventuate.record.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_COPY_RECORD_H
#define EV_COPY_RECORD_H

#include "eventuate.h"

extern Oid	ev_copy_owner(void);
extern void ev_copy_record(const EvMessage *message);

#endif							/* EV_COPY_RECORD_H */
