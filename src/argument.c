/*-------------------------------------------------------------------------
 *
 * argument.c
 *	  What the functions that send have in common: checks and arguments.
 *
 * Refuses, in the caller's transaction and with an error that says what to do,
 * what could never be published.  Makes bytes and columns out of arguments.
 * Text is in the database's encoding until ev_argument_utf8() has seen it.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "argument.h"
#include "message.h"
#include "settings.h"
#include "shared.h"

/* ---------------------------------------------------------------------
 * Checks
 * ---------------------------------------------------------------------
 */

/* Throws unless what is sent now will be published some day. */
void
ev_check_server(const char *function)
{
	ev_shared_require(function);
	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s requires wal_level to be \"logical\"", function),
				 errdetail("Messages are published from the write-ahead log."),
				 errhint("Set wal_level = logical in postgresql.conf and restart the server.")));
}

/* Throws unless this transaction may write rows. */
void
ev_check_transaction(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

/* Throws for a null argument; "what" is its name. */
void
ev_check_not_null(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
}

/* Throws if deliver_at, which is argument "arg", is given. */
void
ev_check_not_delayed(FunctionCallInfo fcinfo, int arg)
{
	if (!PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("delayed messages are not supported"),
				 errhint("Leave deliver_at out.")));
}

/*
 * Throws unless Kafka would accept the name.  "what" is the caller's name for
 * it: a channel or a topic.
 */
void
ev_check_topic(const text *topic, const char *what)
{
	int			length = VARSIZE_ANY_EXHDR(topic);
	const char *reason;

	if (length > EV_TOPIC_MAX_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("%s name is too long", what),
				 errdetail("The name has %d bytes; names of Kafka topics have at most %d.",
						   length, EV_TOPIC_MAX_LENGTH)));
	reason = ev_message_check_topic(VARDATA_ANY(topic), length);
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid %s name \"%.*s\"", what,
						length, VARDATA_ANY(topic)),
				 errdetail("Kafka would refuse it: %s.", reason),
				 errhint("Use letters, digits, \".\", \"_\" and \"-\".")));
}

/*
 * Throws if the record would be larger than we hand to Kafka.  "size" is that
 * of key, value and headers, in UTF-8.
 */
void
ev_check_size(size_t size)
{
	size += EV_RECORD_OVERHEAD;
	if (size > (size_t) ev_max_message_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large"),
				 errdetail("As a Kafka record it has %zu bytes; eventuate.max_message_size is %d.",
						   size, ev_max_message_size),
				 errhint("Send a reference instead of the data, or raise eventuate.max_message_size and the limits of Kafka.")));
}

/* ---------------------------------------------------------------------
 * Arguments
 * ---------------------------------------------------------------------
 */

/* An argument as text in the database's encoding, or NULL. */
text *
ev_argument_text(FunctionCallInfo fcinfo, int arg, EvForm form)
{
	Jsonb	   *jsonb;

	if (PG_ARGISNULL(arg))
		return NULL;
	if (form != EV_FORM_JSONB)
		return PG_GETARG_TEXT_PP(arg);
	jsonb = PG_GETARG_JSONB_P(arg);
	return cstring_to_text(JsonbToCString(NULL, &jsonb->root,
										  VARSIZE(jsonb)));
}

/*
 * Text as Kafka gets it.  Throws if it has no UTF-8 form, which in a database
 * of another encoding (or of none: SQL_ASCII) can be.
 */
bytea *
ev_argument_utf8(text *value)
{
	char	   *data = VARDATA_ANY(value);
	char	   *utf8 = pg_server_to_any(data, VARSIZE_ANY_EXHDR(value), PG_UTF8);

	return utf8 == data ? value : cstring_to_text(utf8);
}

/* An argument as the bytes that go to Kafka, or NULL. */
bytea *
ev_argument_bytes(FunctionCallInfo fcinfo, int arg, EvForm form)
{
	if (PG_ARGISNULL(arg))
		return NULL;
	if (form == EV_FORM_BYTES)
		return PG_GETARG_BYTEA_PP(arg);
	return ev_argument_utf8(ev_argument_text(fcinfo, arg, form));
}
