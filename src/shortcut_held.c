/*-------------------------------------------------------------------------
 *
 * shortcut_held.c
 *	  The rows of transactions that have not committed yet.
 *
 * Rows wait here for the commit of their transaction, or until it turns out
 * that the transaction needs PostgreSQL's reorder buffer: then they are given
 * to that, as if it had had them from the beginning.
 *
 * Owns the rows.  Promises: bounded memory; a transaction is forgotten when it
 * ends, also one whose end is not in WAL because the server crashed.
 *
 * Nothing survives a restart: the slot is read again from before the oldest
 * transaction that runs.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlogrecord.h"
#include "common/hashfn.h"
#include "replication/snapbuild.h"
#include "utils/memutils.h"

#include "shortcut_held.h"
#include "wal_message.h"

/* In bytes, of one transaction and of all: more the reorder buffer can spill. */
#define MAX_SIZE (1024 * 1024)
#define MAX_TOTAL (8 * 1024 * 1024)

/*
 * In bytes: rows of a transaction lie one behind the other in pieces of this
 * size, and a larger one in a piece of its own, so that there is no more memory
 * to fetch than there are rows.  Fits a free list of the memory context.
 */
#define PIECE_SIZE 8192

/*
 * When all transactions are given to the reorder buffer each gets a position of
 * its own, and the one whose commit made us do it one behind them.  No record
 * but those two begins there: behind the first byte of the record before, which
 * has a header at least, and before the end of the shortest commit record.
 */
#define BEFORE_COMMIT (SizeOfXLogRecord - 1)
#define IN_COMMIT (SizeOfXLogRecord + SizeOfXLogRecordDataHeaderShort + MinSizeOfXactCommit)

/* Transactions with rows. */
#define MAX_TRANSACTIONS ((int) (BEFORE_COMMIT + IN_COMMIT - 1))

typedef struct Piece
{
	struct Piece *next;
	Size		size;			/* in bytes, with this header */
	Size		used;			/* of these */
} Piece;

typedef struct HeldTransaction
{
	TransactionId xid;			/* hash key */
	char		status;			/* for simplehash */
	Size		size;
	EvHeldRow  *first;
	EvHeldRow **last;
	Piece	   *pieces;			/* that has them, the last one first */
} HeldTransaction;

#define SH_PREFIX held
#define SH_ELEMENT_TYPE HeldTransaction
#define SH_KEY_TYPE TransactionId
#define SH_KEY xid
#define SH_HASH_KEY(table, key) murmurhash32(key)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static held_hash *transactions = NULL;
static MemoryContext context = NULL;	/* of the rows */

/* How many of them have rows, and how large these are together. */
static int	with_rows = 0;
static Size total = 0;

static HeldTransaction *
find(TransactionId xid)
{
	return transactions == NULL ? NULL : held_lookup(transactions, xid);
}

static HeldTransaction *
enter(TransactionId xid)
{
	HeldTransaction *transaction;
	bool		found;

	if (transactions == NULL)
	{
		context = AllocSetContextCreate(TopMemoryContext, "eventuate held rows",
										ALLOCSET_DEFAULT_SIZES);
		transactions = held_create(context, 2 * MAX_TRANSACTIONS, NULL);
	}
	transaction = held_insert(transactions, xid, &found);
	if (!found)
	{
		transaction->size = 0;
		transaction->first = NULL;
		transaction->pieces = NULL;
	}
	return transaction;
}

/* What a row of so many bytes takes: an empty one, too, takes something. */
static Size
row_size(Size size)
{
	return MAXALIGN(sizeof(EvHeldRow)) + MAXALIGN(size);
}

/* Is there room for a row of so many bytes more of the transaction? */
bool
ev_held_may_add(TransactionId xid, Size size)
{
	const HeldTransaction *transaction = find(xid);

	if (total + row_size(size) > MAX_TOTAL)
		return false;
	if (transaction == NULL || transaction->first == NULL)
		return row_size(size) <= MAX_SIZE && with_rows < MAX_TRANSACTIONS;
	return transaction->size + row_size(size) <= MAX_SIZE;
}

/* So many bytes more of memory, behind those that the transaction has. */
static void *
allocate(HeldTransaction *transaction, Size size)
{
	Piece	   *piece = transaction->pieces;
	char	   *start;

	if (piece == NULL || piece->size - piece->used < size)
	{
		Size		needed = MAXALIGN(sizeof(Piece)) + size;

		needed = Max(needed, PIECE_SIZE);
		piece = MemoryContextAlloc(context, needed);
		piece->next = transaction->pieces;
		piece->size = needed;
		piece->used = MAXALIGN(sizeof(Piece));
		transaction->pieces = piece;
	}
	start = (char *) piece + piece->used;
	piece->used += size;
	return start;
}

/*
 * One more row, behind those that the transaction has; the caller fills in
 * what it consists of, "size" bytes at tuple.t_data.
 */
EvHeldRow *
ev_held_add(TransactionId xid, XLogRecPtr lsn, Size size)
{
	HeldTransaction *transaction = enter(xid);
	EvHeldRow  *row = allocate(transaction, row_size(size));

	if (transaction->first == NULL)
	{
		with_rows++;
		transaction->last = &transaction->first;
	}
	row->next = NULL;
	row->lsn = lsn;
	row->tuple.t_data = (HeapTupleHeader) ((char *) row + row_size(0));
	row->tuple.t_len = size;
	ItemPointerSetInvalid(&row->tuple.t_self);
	row->tuple.t_tableOid = InvalidOid;
	*transaction->last = row;
	transaction->last = &row->next;
	transaction->size += row_size(size);
	total += row_size(size);
	return row;
}

/* What the transaction has, in order; NULL: nothing. */
const EvHeldRow *
ev_held_rows(TransactionId xid)
{
	const HeldTransaction *transaction = find(xid);

	return transaction == NULL ? NULL : transaction->first;
}

static void
free_rows(HeldTransaction *transaction)
{
	if (transaction->first != NULL)
		with_rows--;
	total -= transaction->size;
	transaction->first = NULL;
	transaction->size = 0;
	while (transaction->pieces != NULL)
	{
		Piece	   *piece = transaction->pieces;

		transaction->pieces = piece->next;
		pfree(piece);
	}
}

/*
 * The reorder buffer takes over.  The catalogs of now are those of when the
 * rows were written: all is given before a transaction commits that may have
 * changed one.  "lsn" is the snapshot's position, which must rise.
 */
static void
give(LogicalDecodingContext *ctx, HeldTransaction *transaction, XLogRecPtr lsn)
{
	ReorderBuffer *buffer = ctx->reorder;
	TransactionId xid = transaction->xid;

	if (transaction->first == NULL)
		return;
	if (!SnapBuildProcessChange(ctx->snapshot_builder, xid, lsn))
		elog(ERROR, "there is no snapshot for transaction %u", xid);
	for (EvHeldRow *row = transaction->first; row != NULL; row = row->next)
	{
		if (row->is_message)
			ReorderBufferQueueMessage(buffer, xid, NULL, row->lsn, true,
									  EV_WAL_MESSAGE_PREFIX, row->tuple.t_len,
									  (char *) row->tuple.t_data);
		else
			ReorderBufferQueueChange(buffer, xid, row->lsn,
									 ev_change_insert_compat(buffer, &row->locator, &row->tuple),
									 false);
	}
	free_rows(transaction);
}

/* Gives what the transaction has, if anything, to the reorder buffer. */
void
ev_held_give(LogicalDecodingContext *ctx, TransactionId xid)
{
	HeldTransaction *transaction = find(xid);

	if (transaction != NULL)
		give(ctx, transaction, ctx->reader->ReadRecPtr);
}

/*
 * The same for all transactions, at the commit record of "xid", which may have
 * changed a catalog.  It gets its snapshot here as well, behind them: the
 * reorder buffer wants snapshots in order, and would give it one of where its
 * commit record begins.
 */
void
ev_held_give_all(LogicalDecodingContext *ctx, TransactionId xid)
{
	XLogRecPtr	lsn = ctx->reader->ReadRecPtr - BEFORE_COMMIT;
	held_iterator iterator;
	HeldTransaction *transaction;

	if (with_rows == 0)
		return;
	held_start_iterate(transactions, &iterator);
	while ((transaction = held_iterate(transactions, &iterator)) != NULL)
	{
		if (transaction->first != NULL)
			give(ctx, transaction, lsn++);
	}
	Assert(with_rows == 0);
	ReorderBufferProcessXid(ctx->reorder, xid, ctx->reader->ReadRecPtr);
	(void) SnapBuildProcessChange(ctx->snapshot_builder, xid, lsn);
	Assert(lsn < ctx->reader->ReadRecPtr + IN_COMMIT);
}

/* The transaction has ended. */
void
ev_held_forget(TransactionId xid)
{
	HeldTransaction *transaction = find(xid);

	if (transaction == NULL)
		return;
	free_rows(transaction);
	held_delete_item(transactions, transaction);
}

/* All transactions before this one have ended, some of them by a crash. */
void
ev_held_forget_before(TransactionId xid)
{
	held_iterator iterator;
	HeldTransaction *transaction;
	TransactionId *ended;
	int			count = 0;

	if (transactions == NULL || transactions->members == 0)
		return;
	ended = palloc(sizeof(TransactionId) * transactions->members);
	held_start_iterate(transactions, &iterator);
	while ((transaction = held_iterate(transactions, &iterator)) != NULL)
	{
		if (TransactionIdPrecedes(transaction->xid, xid))
			ended[count++] = transaction->xid;
	}
	while (count > 0)
		ev_held_forget(ended[--count]);
	pfree(ended);
}
