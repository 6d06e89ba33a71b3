/*-------------------------------------------------------------------------
 *
 * shared_id.c
 *	  Message ids.
 *
 * Owns the stamp of the newest id, and the random bits of this start of the
 * server, in shared memory.
 *
 * Promises: ids are unique over backends and restarts and ascend in send order,
 * also when the clock goes back.
 *
 * After a restart of the server (a crash restart too) there are other random
 * bits, and ids begin behind the last checkpoint; only if the server crashed
 * and its clock went back, too, can they begin below those that were given
 * after that.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "eventuate.h"
#include "message.h"
#include "shared_id.h"

typedef struct EvIds
{
	uint64		node;			/* 48 random bits: this start of the server */
	pg_atomic_uint64 stamp;		/* of the newest id */
} EvIds;

static EvIds *ids = NULL;

/*
 * 48 random bits in the place of a MAC address: the multicast bit is set, so
 * that no real address is ever equal, and the top bit is clear, so that ids
 * compare alike as signed and unsigned numbers.
 */
static uint64
random_node(void)
{
	uint64		node;

	if (!pg_strong_random(&node, sizeof(node)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	node &= UINT64CONST(0x7fffffffffff);
	return node | (UINT64CONST(1) << 40);
}

/*
 * Where stamps begin: behind those of before, also if the clock was set back
 * while the server was down.  What tells is the last checkpoint, in whole
 * seconds; after a crash, ids may have been given later than that.  While the
 * clock is right it is what counts: stamps that run ahead of it would meet
 * those of the next start.
 */
static uint64
first_stamp(void)
{
	bool		valid;
	ControlFileData *control = get_controlfile(DataDir, &valid);
	uint64		now_ms = (uint64) ev_epoch_ms(GetCurrentTimestamp());
	uint64		stamp = 0;

	if (valid && now_ms < (uint64) control->checkPointCopy.time * 1000)
		stamp = ((uint64) control->checkPointCopy.time + 1) * 1000 << 16;
	pfree(control);
	return stamp;
}

/* What shared.c has to ask for. */
Size
ev_shared_id_size(void)
{
	return MAXALIGN(sizeof(EvIds));
}

/* While shared memory is set up. */
void
ev_shared_id_startup(void)
{
	bool		found;

	ids = ShmemInitStruct("eventuate ids", sizeof(EvIds), &found);
	if (found)
		return;
	ids->node = random_node();
	pg_atomic_init_u64(&ids->stamp, first_stamp());
}

/*
 * Writes a new message id: EV_ID_LENGTH characters and a NUL.  The stamp (ms
 * and a 16-bit counter in one number) only ever rises; when the counter is
 * spent or the clock goes back it runs ahead of the clock.
 */
void
ev_shared_next_id(char *id)
{
	uint64		now_ms = (uint64) ev_epoch_ms(GetCurrentTimestamp());
	uint64		previous = pg_atomic_read_u64(&ids->stamp);
	uint64		stamp;

	do
		stamp = ev_message_next_stamp(previous, now_ms);
	while (!pg_atomic_compare_exchange_u64(&ids->stamp, &previous, stamp));
	ev_message_format_id(id, stamp, ids->node);
}

/*
 * Ids are to be later than "time" from now on.  For the launcher, where the
 * server was a standby: what has been replayed was sent by another's clock.
 */
void
ev_shared_advance_ids(TimestampTz time)
{
	pg_atomic_monotonic_advance_u64(&ids->stamp, ((uint64) ev_epoch_ms(time) + 1) << 16);
}
