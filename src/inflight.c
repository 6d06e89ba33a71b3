/*-------------------------------------------------------------------------
 *
 * inflight.c
 *	  The window of transactions that wait for Kafka's acknowledgement.
 *
 * Owns the answer to one question: up to which position is everything on
 * Kafka, so that the slot may be confirmed to it?  A transaction is done when
 * it is committed here - all its records were handed to the producer - and
 * each of them was acknowledged.  Acknowledgements come in any order, so the
 * answer is the end of the newest transaction such that it and every one
 * before it is done.
 *
 * Promises: the safe position is never past a transaction with a record that
 * is not acknowledged, and it never goes back.  Every operation takes constant
 * time on average.
 *
 * Transactions that wait are in a ring, indexed by the low bits of their
 * ticket; done ones leave it at the old end.  The ring grows with the window
 * and does not shrink.
 *
 * A restart forgets the window: what is in it is decoded and sent again from
 * the confirmed position, which is at or before the safe one.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "inflight.h"

/* Transactions that the ring has room for at first; a power of two. */
#define INITIAL_CAPACITY 64

typedef struct Transaction
{
	XLogRecPtr	end_lsn;		/* may be invalid */
	int64		commit_time;
	uint64		records;		/* handed to the producer */
	uint64		pending;		/* of them, not acknowledged */
	bool		committed;		/* no record will be added */
} Transaction;

struct EvInflight
{
	Transaction *ring;
	uint64		capacity;		/* a power of two */
	EvTicket	oldest;			/* the window is oldest <= ticket < next */
	EvTicket	next;
	XLogRecPtr	newest_lsn;		/* the last valid one begun */
	XLogRecPtr	safe_lsn;
	int64		safe_time;
	uint64		pending;		/* sum over the window */
	uint64		records;		/* sum over the window */
};

static inline Transaction *
place(const EvInflight *window, EvTicket ticket)
{
	return &window->ring[ticket & (window->capacity - 1)];
}

/*
 * Returns NULL for a ticket that is not in the window.
 */
static inline Transaction *
find_transaction(const EvInflight *window, EvTicket ticket)
{
	/* Unsigned, so a ticket below the oldest is far above. */
	if (ticket - window->oldest >= window->next - window->oldest)
		return NULL;
	return place(window, ticket);
}

/*
 * Doubles the ring, which is full.  The wider mask tells each transaction
 * either to stay or to move up by the old capacity.
 */
static void
grow(EvInflight *window)
{
	uint64		old_capacity = window->capacity;
	EvTicket	ticket;

	Assert(window->next - window->oldest == old_capacity);
	window->ring = repalloc(window->ring,
							2 * old_capacity * sizeof(Transaction));
	window->capacity = 2 * old_capacity;
	for (ticket = window->oldest; ticket < window->next; ticket++)
	{
		if (ticket & old_capacity)
			*place(window, ticket) = window->ring[ticket & (old_capacity - 1)];
	}
}

/*
 * Moves the safe position over the transactions that are done.
 */
static void
advance(EvInflight *window)
{
	while (window->oldest < window->next)
	{
		Transaction *transaction = place(window, window->oldest);

		if (!transaction->committed || transaction->pending > 0)
			return;
		if (!XLogRecPtrIsInvalid(transaction->end_lsn))
		{
			Assert(transaction->end_lsn > window->safe_lsn);
			window->safe_lsn = transaction->end_lsn;
		}
		window->safe_time = Max(window->safe_time, transaction->commit_time);
		Assert(window->records >= transaction->records);
		window->records -= transaction->records;
		window->oldest++;
	}
	Assert(window->records == 0 && window->pending == 0);
}

/*
 * Make an empty window.  It lives in the current memory context.
 */
EvInflight *
ev_inflight_create(void)
{
	EvInflight *window = palloc0(sizeof(EvInflight));

	window->capacity = INITIAL_CAPACITY;
	window->ring = palloc(window->capacity * sizeof(Transaction));
	window->oldest = window->next = 1;
	return window;
}

/*
 * Free the window, whatever is in it.
 */
void
ev_inflight_destroy(EvInflight *window)
{
	pfree(window->ring);
	pfree(window);
}

/*
 * Is the window so large that no transaction should be begun before others
 * are done?  It is the caller who waits; a transaction begun all the same
 * costs only memory.
 */
bool
ev_inflight_full(const EvInflight *window)
{
	return window->next - window->oldest >= EV_INFLIGHT_MAX;
}

/*
 * Begin a transaction, in commit order, and return its ticket.  end_lsn is
 * the end of its commit record, past that of each before it; with an invalid
 * one (recovery reads tables, which know no position) the transaction holds
 * the safe position back like any other, but does not move it.  commit_time
 * is in any unit in which later is larger and 0 means none.
 */
EvTicket
ev_inflight_begin(EvInflight *window, XLogRecPtr end_lsn, int64 commit_time)
{
	Transaction *transaction;
	EvTicket	ticket;

	if (window->next - window->oldest == window->capacity)
		grow(window);
	if (!XLogRecPtrIsInvalid(end_lsn))
	{
		Assert(end_lsn > window->newest_lsn);
		window->newest_lsn = end_lsn;
	}
	ticket = window->next++;
	transaction = place(window, ticket);
	memset(transaction, 0, sizeof(*transaction));
	transaction->end_lsn = end_lsn;
	transaction->commit_time = commit_time;
	return ticket;
}

/*
 * One more record of the transaction is on its way to Kafka.  To be called
 * before its acknowledgement can come, and before ev_inflight_commit.
 */
void
ev_inflight_add(EvInflight *window, EvTicket ticket)
{
	Transaction *transaction = find_transaction(window, ticket);

	Assert(transaction != NULL && !transaction->committed);
	if (transaction == NULL)
		return;
	transaction->records++;
	transaction->pending++;
	window->records++;
	window->pending++;
}

/*
 * All records of the transaction were added; it may have none.
 */
void
ev_inflight_commit(EvInflight *window, EvTicket ticket)
{
	Transaction *transaction = find_transaction(window, ticket);

	Assert(transaction != NULL && !transaction->committed);
	if (transaction == NULL)
		return;
	transaction->committed = true;
	advance(window);
}

/*
 * Kafka has one record of the transaction, or it was dealt with otherwise and
 * need not be sent again.  Without assertions, an acknowledgement that no
 * record waits for is ignored: it harms nothing, and what really waits still
 * holds the safe position.
 */
void
ev_inflight_ack(EvInflight *window, EvTicket ticket)
{
	Transaction *transaction = find_transaction(window, ticket);

	Assert(transaction != NULL && transaction->pending > 0);
	if (transaction == NULL || transaction->pending == 0)
		return;
	Assert(window->pending >= transaction->pending);
	transaction->pending--;
	window->pending--;
	if (transaction->pending == 0)
		advance(window);
}

/*
 * The end of the newest transaction such that it and every one before it is
 * done: the slot may be confirmed to here.  Invalid as long as there is none.
 */
XLogRecPtr
ev_inflight_safe_lsn(const EvInflight *window)
{
	return window->safe_lsn;
}

/*
 * The latest commit time among the transactions up to the safe position; 0 as
 * long as there is none.  Commit times need not rise in commit order.
 */
int64
ev_inflight_safe_time(const EvInflight *window)
{
	return window->safe_time;
}

/*
 * Is no transaction waiting?  Then all that was begun is on Kafka.
 */
bool
ev_inflight_empty(const EvInflight *window)
{
	return window->oldest == window->next;
}

/*
 * Records that Kafka has not acknowledged.
 */
uint64
ev_inflight_messages(const EvInflight *window)
{
	return window->pending;
}

/*
 * Records that are not behind the safe position, acknowledged or not: what
 * would be sent again after a crash.
 */
uint64
ev_inflight_unconfirmed(const EvInflight *window)
{
	return window->records;
}

/*
 * The end_lsn that a transaction in the window was begun with.  A caller may
 * ask only for one that cannot be done yet; for another it is invalid.
 */
XLogRecPtr
ev_inflight_end_lsn(const EvInflight *window, EvTicket ticket)
{
	const Transaction *transaction = find_transaction(window, ticket);

	Assert(transaction != NULL);
	return transaction == NULL ? InvalidXLogRecPtr : transaction->end_lsn;
}
