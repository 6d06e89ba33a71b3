/*-------------------------------------------------------------------------
 *
 * wal_message.c
 *	  Rows that are written to the write-ahead log only.
 *
 * With eventuate.send_mode = wal a row goes into a transactional logical
 * message instead of a table: no heap, no index, nothing to vacuum.  What
 * decoding makes of it is what it makes of the row.
 *
 * Anybody may write logical messages, with pg_logical_emit_message().  So ours
 * are authenticated: by a MAC (SipHash) over database, table, transaction, the
 * message's number in its transaction, and the row.  The key is made of 32 random bytes
 * in pg_control, which SQL shows to nobody, which standbys have as well, and
 * which live as long as the cluster.  A message that was copied belongs to
 * another transaction, or comes a second time in the same.
 *
 * Nothing is kept but the number in the current transaction, and whether its
 * last record was such a message.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "utils/resowner.h"

#include "compat.h"
#include "siphash.h"
#include "wal_message.h"

#define FORMAT_VERSION 1

/* What stands before the row. */
typedef struct Frame
{
	uint8		mac[EV_SIPHASH_LENGTH]; /* of all that follows, and the row */
	uint32		version;
	Oid			database;
	Oid			relid;
	uint32		position;		/* in the transaction; rises */
	uint64		xid;			/* top-level, 64 bits */
} Frame;

static void
check_hmac(pg_hmac_ctx *context, int result)
{
	if (result < 0)
		elog(ERROR, "could not derive a key: %s", pg_hmac_error(context));
}

/* What is secret, for the purpose of ours and this database: its HMAC. */
static void
derive_key(uint8 *key)
{
	static const char purpose[] = "eventuate message in WAL";
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (context == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	check_hmac(context, pg_hmac_init(context,
									 (const uint8 *) GetMockAuthenticationNonce(),
									 MOCK_AUTH_NONCE_LEN));
	check_hmac(context, pg_hmac_update(context, (const uint8 *) purpose, sizeof(purpose)));
	check_hmac(context, pg_hmac_update(context, (const uint8 *) &MyDatabaseId, sizeof(MyDatabaseId)));
	check_hmac(context, pg_hmac_final(context, digest, sizeof(digest)));
	pg_hmac_free(context);
	memcpy(key, digest, EV_SIPHASH_LENGTH);
}

/*
 * The same, also where there is no transaction: OpenSSL's objects must have an
 * owner.
 */
static void
derive_owned_key(uint8 *key)
{
	ResourceOwner saved = CurrentResourceOwner;
	ResourceOwner owner = ResourceOwnerCreate(saved, "eventuate key");

	CurrentResourceOwner = owner;
	derive_key(key);
	CurrentResourceOwner = saved;
	ResourceOwnerDelete(owner);
}

/* The MAC of a frame and the row behind it, "size" bytes together. */
static void
compute_mac(const char *content, Size size, uint8 *mac)
{
	static uint8 key[EV_SIPHASH_LENGTH];
	static bool known = false;

	if (!known)
		derive_owned_key(key);
	known = true;
	ev_siphash(key, content + EV_SIPHASH_LENGTH, size - EV_SIPHASH_LENGTH, mac);
}

/* The number of the next message in this transaction. */
static uint32
next_position(FullTransactionId xid)
{
	static FullTransactionId last_xid = {0};
	static uint32 position = 0;

	if (!FullTransactionIdEquals(xid, last_xid))
		position = 0;
	last_xid = xid;
	return ++position;
}

/* Was a message written since a subtransaction began or ended? */
static bool at_boundary = false;

/*
 * Decoding puts the changes of a transaction and its subtransactions in the
 * order of their positions.  That of a message is its end, that of a row its
 * beginning: where a row of another subtransaction follows immediately they
 * are equal, and either may come first.  So between a message and the next
 * change of subtransactions there is a record that means nothing.
 */
static void
part_from_next(SubXactEvent event, SubTransactionId sub,
			   SubTransactionId parent, void *arg)
{
	if (!at_boundary ||
		(event != SUBXACT_EVENT_START_SUB && event != SUBXACT_EVENT_PRE_COMMIT_SUB))
		return;
	at_boundary = false;
	XLogBeginInsert();
	XLogRegisterData((char *) &at_boundary, sizeof(at_boundary));
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	(void) XLogInsert(RM_XLOG_ID, XLOG_NOOP);
}

/* From the first message on; what an earlier transaction left is no matter. */
static void
watch_subtransactions(void)
{
	static bool watching = false;

	if (!watching)
		RegisterSubXactCallback(part_from_next, NULL);
	watching = true;
	at_boundary = true;
}

/*
 * Writes a row of a table to WAL, in the current transaction.  The row has all
 * its values in it.  The caller has checked that the user may insert it.
 * Returns the end of what was written.
 */
XLogRecPtr
ev_wal_message_write(Oid relid, HeapTuple tuple)
{
	Size		size = sizeof(Frame) + tuple->t_len;
	FullTransactionId xid = GetTopFullTransactionId();
	Frame		frame = {.version = FORMAT_VERSION,.database = MyDatabaseId,
	.relid = relid,.position = next_position(xid),.xid = U64FromFullTransactionId(xid)};
	char	   *content = palloc(size);
	XLogRecPtr	end;

	Assert(!HeapTupleHasExternal(tuple));
	watch_subtransactions();
	memcpy(content, &frame, sizeof(Frame));
	memcpy(content + sizeof(Frame), tuple->t_data, tuple->t_len);
	compute_mac(content, size, (uint8 *) content);
	end = ev_log_message_compat(EV_WAL_MESSAGE_PREFIX, content, size);
	pfree(content);
	return end;
}

/* Does the MAC hold?  In constant time, as is the custom. */
static bool
is_authentic(const char *content, Size size)
{
	uint8		mac[EV_SIPHASH_LENGTH];
	uint8		difference = 0;

	compute_mac(content, size, mac);
	for (int i = 0; i < EV_SIPHASH_LENGTH; i++)
		difference |= mac[i] ^ (uint8) content[i];
	return difference == 0;
}

/*
 * The table that a logical message says to have a row of, whoever wrote it;
 * InvalidOid if it is not one of ours.
 */
Oid
ev_wal_message_table(const char *content, Size size)
{
	Frame		frame;

	if (size < sizeof(Frame))
		return InvalidOid;
	memcpy(&frame, content, sizeof(Frame));
	return frame.relid;
}

/*
 * The row in a logical message of transaction "xid", in the current memory
 * context; NULL if it is not one of ours.  *position is that of the message
 * before in the transaction, 0 at its beginning, and is moved on.
 */
HeapTuple
ev_wal_message_read(const char *content, Size size, FullTransactionId xid,
					uint32 *position, Oid *relid)
{
	Frame		frame;
	HeapTuple	tuple;
	Size		length = size - sizeof(Frame);

	if (size < sizeof(Frame) + SizeofHeapTupleHeader)
		return NULL;
	memcpy(&frame, content, sizeof(Frame));
	if (frame.version != FORMAT_VERSION || frame.database != MyDatabaseId ||
		frame.xid != U64FromFullTransactionId(xid) ||
		frame.position <= *position ||
		!is_authentic(content, size))
		return NULL;
	*position = frame.position;
	*relid = frame.relid;
	tuple = palloc(HEAPTUPLESIZE + length);
	tuple->t_len = length;
	ItemPointerSetInvalid(&tuple->t_self);
	tuple->t_tableOid = frame.relid;
	tuple->t_data = (HeapTupleHeader) ((char *) tuple + HEAPTUPLESIZE);
	memcpy(tuple->t_data, content + sizeof(Frame), length);
	return tuple;
}
