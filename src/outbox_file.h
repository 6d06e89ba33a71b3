/*-------------------------------------------------------------------------
 *
 * outbox_file.h
 *	  What is known of the tables whose files WAL names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_OUTBOX_FILE_H
#define EV_OUTBOX_FILE_H

#include "access/tupdesc.h"
#include "access/xlogdefs.h"
#include "utils/relcache.h"

#include "compat.h"
#include "outbox.h"

typedef struct EvOutboxFile
{
	EvFileLocator locator;		/* hash key */
	const EvOutbox *outbox;		/* NULL: no row of the table is a message */

	/* Of an outbox: */
	Oid			relid;
	NameData	name;
	TupleDesc	desc;
	const struct EvOutboxFile *next;	/* outbox */
} EvOutboxFile;

extern void ev_outbox_file_learn(Relation relation, const EvOutbox *outbox,
								 XLogRecPtr lsn);
extern const EvOutboxFile *ev_outbox_file_find(const EvFileLocator *locator);
extern const EvOutboxFile *ev_outbox_file_find_table(Oid relid);
extern void ev_outbox_file_forget(XLogRecPtr lsn);

#endif							/* EV_OUTBOX_FILE_H */
