/*-------------------------------------------------------------------------
 *
 * shared_outbox.c
 *	  What is known in shared memory of each outbox.
 *
 * Owns a bounded array of entries, one for each table that is an outbox in
 * some database: counters, and the poller of one that is polled.  Where all
 * entries are taken further outboxes are published all the same, uncounted;
 * they cannot be polled.
 *
 * That a table is to be polled is a hint: whoever labels it leaves the hint at
 * commit, the publisher when it starts; the poller itself looks at the label,
 * and takes the hint back where there is none.
 *
 * A restart of the server begins with nothing: publishers find what is to be
 * polled.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "shared_outbox.h"

/* Tables that one transaction can label to be polled; others wait for the
 * publisher's next start. */
#define MAX_REQUESTS 64

static EvOutboxEntry *outboxes = NULL;
static LWLock *outboxes_lock = NULL;	/* for adding and removing entries */

static Oid	requests[MAX_REQUESTS];
static int	request_count = 0;

/* What shared.c has to ask for. */
Size
ev_shared_outbox_size(void)
{
	return MAXALIGN(mul_size(EV_MAX_OUTBOXES, sizeof(EvOutboxEntry)));
}

static void
init_outbox(EvOutboxEntry *outbox)
{
	memset(outbox, 0, sizeof(EvOutboxEntry));
	SpinLockInit(&outbox->mutex);
	ev_shared_init_worker(&outbox->poller);
}

/* While shared memory is set up; "lock" guards coming and going of entries. */
void
ev_shared_outbox_startup(LWLock *lock)
{
	bool		found;

	outboxes = ShmemInitStruct("eventuate outboxes", ev_shared_outbox_size(), &found);
	outboxes_lock = lock;
	for (int i = 0; !found && i < EV_MAX_OUTBOXES; i++)
		init_outbox(&outboxes[i]);
}

/* The index-th entry, free ones too; NULL past the end. */
EvOutboxEntry *
ev_shared_outbox_entry(int index)
{
	return index < EV_MAX_OUTBOXES ? &outboxes[index] : NULL;
}

/*
 * The entry of an outbox, or NULL.  Needs no lock; it may be removed at any
 * time: readers must cope with stale numbers.
 */
EvOutboxEntry *
ev_shared_outbox_find(Oid datid, Oid relid)
{
	for (int i = 0; i < EV_MAX_OUTBOXES; i++)
	{
		if (outboxes[i].relid == relid && outboxes[i].datid == datid)
			return &outboxes[i];
	}
	return NULL;
}

/* The entry of an outbox, made if need be; NULL if all are taken. */
EvOutboxEntry *
ev_shared_outbox_get(Oid datid, Oid relid)
{
	EvOutboxEntry *outbox = ev_shared_outbox_find(datid, relid);

	Assert(OidIsValid(datid) && OidIsValid(relid));
	if (outbox != NULL)
		return outbox;
	LWLockAcquire(outboxes_lock, LW_EXCLUSIVE);
	outbox = ev_shared_outbox_find(datid, relid);
	if (outbox == NULL)
	{
		outbox = ev_shared_outbox_find(InvalidOid, InvalidOid);
		if (outbox != NULL)
		{
			init_outbox(outbox);
			outbox->relid = relid;
			outbox->datid = datid;
		}
	}
	LWLockRelease(outboxes_lock);
	return outbox;
}

/* Frees an entry, unless a poller has it. */
void
ev_shared_outbox_remove(EvOutboxEntry *outbox)
{
	LWLockAcquire(outboxes_lock, LW_EXCLUSIVE);
	if (outbox->poller.pid == 0)
	{
		SpinLockAcquire(&outbox->mutex);
		outbox->datid = outbox->relid = InvalidOid;
		outbox->polled = false;
		SpinLockRelease(&outbox->mutex);
	}
	LWLockRelease(outboxes_lock);
}

/* ---------------------------------------------------------------------
 * Counters
 * ---------------------------------------------------------------------
 */

/* An outbox of this database; mostly the one asked for last. */
static EvOutboxEntry *
my_outbox(Oid relid)
{
	static EvOutboxEntry *last = NULL;

	if (last == NULL || last->relid != relid || last->datid != MyDatabaseId)
		last = ev_shared_outbox_get(MyDatabaseId, relid);
	return last;
}

/* So many messages of an outbox of this database were read. */
void
ev_shared_outbox_count(Oid relid, uint64 messages, TimestampTz time)
{
	EvOutboxEntry *outbox = my_outbox(relid);

	if (outbox == NULL)
		return;
	SpinLockAcquire(&outbox->mutex);
	outbox->messages += messages;
	outbox->last_message_time = time;
	SpinLockRelease(&outbox->mutex);
}

/* A row of an outbox of this database could not be a message. */
void
ev_shared_outbox_count_malformed(Oid relid, const char *reason)
{
	EvOutboxEntry *outbox = my_outbox(relid);
	TimestampTz now = GetCurrentTimestamp();
	int			length = strlen(reason);

	if (outbox == NULL)
		return;
	if (length >= EV_ERROR_LENGTH)
		length = pg_mbcliplen(reason, length, EV_ERROR_LENGTH - 1);
	SpinLockAcquire(&outbox->mutex);
	outbox->malformed++;
	memcpy(outbox->last_error, reason, length);
	outbox->last_error[length] = '\0';
	outbox->last_error_time = now;
	SpinLockRelease(&outbox->mutex);
}

/* The counters of a database's outboxes begin at zero. */
void
ev_shared_outbox_reset(Oid datid)
{
	for (int i = 0; i < EV_MAX_OUTBOXES; i++)
	{
		EvOutboxEntry *outbox = &outboxes[i];

		if (outbox->datid != datid)
			continue;
		SpinLockAcquire(&outbox->mutex);
		outbox->messages = outbox->malformed = 0;
		outbox->last_error[0] = '\0';
		outbox->last_error_time = 0;
		SpinLockRelease(&outbox->mutex);
	}
}

/* ---------------------------------------------------------------------
 * Polling
 * ---------------------------------------------------------------------
 */

/* An outbox of this database is to be polled. */
void
ev_shared_outbox_poll(Oid relid)
{
	EvOutboxEntry *outbox = ev_shared_outbox_get(MyDatabaseId, relid);

	if (outbox == NULL)
		return;
	SpinLockAcquire(&outbox->mutex);
	outbox->polled = true;
	SpinLockRelease(&outbox->mutex);
	ev_shared_start_soon(&outbox->poller);
	ev_shared_wake(&outbox->poller);
	ev_shared_wake_launcher();
}

/* The same, once this transaction is committed. */
void
ev_shared_outbox_poll_at_commit(Oid relid)
{
	if (request_count < MAX_REQUESTS)
		requests[request_count++] = relid;
}

/* For shared.c: this transaction is committed.  Must not throw. */
void
ev_shared_outbox_at_commit(void)
{
	for (int i = 0; i < request_count; i++)
		ev_shared_outbox_poll(requests[i]);
}

/* For shared.c: this transaction has ended. */
void
ev_shared_outbox_forget_requests(void)
{
	request_count = 0;
}
