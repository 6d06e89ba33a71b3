/*-------------------------------------------------------------------------
 *
 * slot_pages.h
 *	  Pages of WAL, read several at a time.  For slot.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SLOT_PAGES_H
#define EV_SLOT_PAGES_H

#include "access/xlogreader.h"

extern void ev_slot_pages_forget(void);
extern void ev_slot_pages_read(XLogReaderState *state, XLogRecPtr page,
							   XLogRecPtr end, TimeLineID timeline,
							   char *buffer);

#endif							/* EV_SLOT_PAGES_H */
