/*-------------------------------------------------------------------------
 *
 * shared_id.h
 *	  Message ids.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SHARED_ID_H
#define EV_SHARED_ID_H

#include "datatype/timestamp.h"

extern void ev_shared_next_id(char *id);
extern void ev_shared_advance_ids(TimestampTz time);

/* For shared.c. */
extern Size ev_shared_id_size(void);
extern void ev_shared_id_startup(void);

#endif							/* EV_SHARED_ID_H */
