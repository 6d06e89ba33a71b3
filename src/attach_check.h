/*-------------------------------------------------------------------------
 *
 * attach_check.h
 *	  Does a label make sense, and does it fit the table?  For attach.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_ATTACH_CHECK_H
#define EV_ATTACH_CHECK_H

#include "outbox_label.h"

extern void ev_attach_check(Oid relid, const char *text, EvLabel *label);

#endif							/* EV_ATTACH_CHECK_H */
