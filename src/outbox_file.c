/*-------------------------------------------------------------------------
 *
 * outbox_file.c
 *	  What is known of the tables whose files WAL names.
 *
 * A record of WAL names a file, and only the catalogs of that time say of
 * which table it is.  PostgreSQL finds out under a historic snapshot when it
 * replays a transaction; what it has found is kept here, so that for the
 * transactions that follow nobody needs a snapshot.
 *
 * Promises: what is found is true of the WAL that is being read.  Whoever
 * reads it says when a transaction commits that may have changed a catalog
 * (ev_outbox_file_forget), and that takes everything away; so does any
 * invalidation of what outbox.c knows.
 *
 * A cache: a restart begins with nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "outbox_file.h"

/* A database of very many tables begins afresh now and then. */
#define MAX_FILES 10000

static HTAB *files = NULL;

/* Of the hash table, and of what its entries point to. */
static MemoryContext context = NULL;

/* Those of outboxes. */
static const EvOutboxFile *outboxes = NULL;

/* The one that was looked for last; NULL: look again. */
static const EvOutboxFile *recent = NULL;

/* What outbox.c knew when the first of them was learned. */
static uint64 generation = 0;

/* Changes of rows before this were made under other catalogs. */
static XLogRecPtr forgotten_at = InvalidXLogRecPtr;

static void
clear(void)
{
	if (context != NULL)
		MemoryContextDelete(context);
	context = NULL;
	files = NULL;
	outboxes = NULL;
	recent = NULL;
}

/* Is anything known, and still true? */
static bool
is_current(void)
{
	if (files != NULL && generation != ev_outbox_generation())
		clear();
	return files != NULL;
}

static void
create(void)
{
	HASHCTL		ctl;

	context = AllocSetContextCreate(CacheMemoryContext, "eventuate files",
									ALLOCSET_DEFAULT_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(EvFileLocator);
	ctl.entrysize = sizeof(EvOutboxFile);
	ctl.hcxt = context;
	files = hash_create("eventuate files", 256, &ctl,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	generation = ev_outbox_generation();
}

/*
 * Catalogs may have changed by a transaction whose commit record ends here:
 * nothing that was known before counts, nor what a replay learns from rows
 * that were written before.
 */
void
ev_outbox_file_forget(XLogRecPtr lsn)
{
	clear();
	forgotten_at = lsn;
}

/* What it takes to read rows of the table. */
static void
fill(EvOutboxFile *file, Relation relation)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);

	file->relid = RelationGetRelid(relation);
	namestrcpy(&file->name, RelationGetRelationName(relation));
	file->desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	file->next = outboxes;
	outboxes = file;
	MemoryContextSwitchTo(old_context);
}

/*
 * A change at "lsn" was one of this table, which is this outbox or, with NULL,
 * has nothing to publish.  The caller is in a replay, and looked the outbox up
 * just now.
 */
void
ev_outbox_file_learn(Relation relation, const EvOutbox *outbox, XLogRecPtr lsn)
{
	EvFileLocator locator = ev_relation_locator_compat(relation);
	EvOutboxFile *file;
	bool		found;

	if (lsn < forgotten_at)
		return;
	if (is_current() && hash_get_num_entries(files) >= MAX_FILES)
		clear();
	if (files == NULL)
		create();
	file = hash_search(files, &locator, HASH_ENTER, &found);
	if (found)
		return;
	file->outbox = outbox;
	if (outbox != NULL)
		fill(file, relation);
}

/* Whose file it is; NULL: nobody knows. */
const EvOutboxFile *
ev_outbox_file_find(const EvFileLocator *locator)
{
	if (!is_current())
		return NULL;
	if (recent == NULL ||
		memcmp(&recent->locator, locator, sizeof(EvFileLocator)) != 0)
		recent = hash_search(files, locator, HASH_FIND, NULL);
	return recent;
}

/* The same of an outbox, by its table. */
const EvOutboxFile *
ev_outbox_file_find_table(Oid relid)
{
	const EvOutboxFile *file = is_current() ? outboxes : NULL;

	while (file != NULL && file->relid != relid)
		file = file->next;
	return file;
}
