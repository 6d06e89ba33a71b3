/*-------------------------------------------------------------------------
 *
 * attach.c
 *	  SQL functions that make a table an outbox, and that end it.
 *
 * Both lock the table against writers until their transaction ends: so every
 * transaction that writes to the table is wholly before or wholly after, and
 * decoding, which meets the new label at the commit, agrees with it.  For the
 * loss of the slot the label says when that was (moment.c); of a table that is
 * attached once more also when it was before, until all of that is published.
 *
 * Rows that are there already can be published, too: they are copied, as
 * records, into eventuate.record, in this transaction.  So they come before
 * anything that is written to the table afterwards.
 *
 * Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/seclabel.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "argument.h"
#include "attach_check.h"
#include "compat.h"
#include "copy_record.h"
#include "copy_rows.h"
#include "moment.h"
#include "outbox.h"
#include "progress.h"
#include "shared.h"
#include "shared_commit.h"
#include "text_form.h"

PG_FUNCTION_INFO_V1(eventuate_attach);
PG_FUNCTION_INFO_V1(eventuate_detach);
PG_FUNCTION_INFO_V1(this_moment);

/* Keeps writers out; readers, vacuum aside, do not notice. */
#define LOCK_MODE ShareRowExclusiveLock

/* Arguments of eventuate_attach(). */
enum
{
	ARG_OUTBOX,
	ARG_FORMAT,
	ARG_OUTBOX_ID,
	ARG_RETENTION,
	ARG_COLUMNS,
	ARG_TOPIC,
	ARG_TOPICS,
	ARG_PLACEMENTS,
	ARG_EXPAND_JSON,
	ARG_TOMBSTONE_ON_EMPTY,
	ARG_PUBLISH_EXISTING,
	ARG_READER,
	ARG_POLL_INTERVAL
};

/* ---------------------------------------------------------------------
 * The label
 * ---------------------------------------------------------------------
 */

static void
begin_member(StringInfo json, const char *name)
{
	appendStringInfo(json, "%c\"%s\": ", json->len == 0 ? '{' : ',', name);
}

static void
put_text(StringInfo json, const char *name, FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return;
	begin_member(json, name);
	escape_json(json, text_to_cstring(PG_GETARG_TEXT_PP(arg)));
}

static void
put_jsonb(StringInfo json, const char *name, FunctionCallInfo fcinfo, int arg)
{
	Jsonb	   *value;

	if (PG_ARGISNULL(arg))
		return;
	value = PG_GETARG_JSONB_P(arg);
	begin_member(json, name);
	JsonbToCString(json, &value->root, VARSIZE(value));
}

static void
put_bool(StringInfo json, const char *name, FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg) || !PG_GETARG_BOOL(arg))
		return;
	begin_member(json, name);
	appendStringInfoString(json, "true");
}

/* An interval as an interval (retention), or in ms (what is waited for). */
static void
put_retention(StringInfo json, FunctionCallInfo fcinfo, int arg)
{
	int			level;

	if (PG_ARGISNULL(arg))
		return;
	level = NewGUCNestLevel();
	ev_text_form_assume();
	begin_member(json, "retention");
	escape_json(json, DatumGetCString(DirectFunctionCall1(interval_out,
														  PG_GETARG_DATUM(arg))));
	AtEOXact_GUC(false, level);
}

static void
put_poll_interval(StringInfo json, FunctionCallInfo fcinfo, int arg)
{
	Interval   *interval;

	if (PG_ARGISNULL(arg))
		return;
	interval = PG_GETARG_INTERVAL_P(arg);
	if (interval->month != 0 || interval->day != 0 || interval->time < 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("poll_interval must be at least a millisecond and less than a day")));
	begin_member(json, "poll_interval");
	appendStringInfo(json, INT64_FORMAT, (int64) interval->time / 1000);
}

/* What the arguments say, as a label without its end. */
static void
put_arguments(StringInfo json, FunctionCallInfo fcinfo)
{
	put_text(json, "format", fcinfo, ARG_FORMAT);
	if (!PG_ARGISNULL(ARG_OUTBOX_ID))
	{
		begin_member(json, "outbox_id");
		appendStringInfo(json, INT64_FORMAT, PG_GETARG_INT64(ARG_OUTBOX_ID));
	}
	put_retention(json, fcinfo, ARG_RETENTION);
	put_jsonb(json, "columns", fcinfo, ARG_COLUMNS);
	put_text(json, "topic", fcinfo, ARG_TOPIC);
	put_text(json, "topics", fcinfo, ARG_TOPICS);
	put_text(json, "placements", fcinfo, ARG_PLACEMENTS);
	put_bool(json, "expand_json", fcinfo, ARG_EXPAND_JSON);
	put_bool(json, "tombstone_on_empty", fcinfo, ARG_TOMBSTONE_ON_EMPTY);
	put_text(json, "reader", fcinfo, ARG_READER);
	put_poll_interval(json, fcinfo, ARG_POLL_INTERVAL);
}

/* The label that a table has, parsed; false: none, or not one of an outbox. */
static bool
get_label(Oid relid, EvLabel *label, char **text)
{
	ObjectAddress address = {RelationRelationId, relid, 0};
	const char *reason;

	*text = GetSecurityLabel(&address, "eventuate");
	return *text != NULL && ev_label_parse(*text, label, &reason);
}

/*
 * May rows of a period be yet to be published?  "published" is eventuate.progress:
 * who had ended by "until" had ended before anything was running there.
 */
static bool
is_open(const EvPeriod *period, Datum published)
{
	if (!ev_moment_counts(&period->until))
		return false;
	return published == (Datum) 0 ||
		DatumGetUInt64(DirectFunctionCall1(pg_snapshot_xmax, period->until.snapshot)) >
		DatumGetUInt64(DirectFunctionCall1(pg_snapshot_xmin, published));
}

static void
put_period(StringInfo list, const EvPeriod *period, Datum published)
{
	if (!is_open(period, published))
		return;
	appendStringInfoString(list, list->len == 0 ? "[{" : ", {");
	if (ev_moment_counts(&period->since))
		appendStringInfo(list, "\"since\": %s, ", ev_moment_print(&period->since));
	appendStringInfo(list, "\"until\": %s}", ev_moment_print(&period->until));
}

/* When the table was attached before, as far as that still matters. */
static void
put_earlier(StringInfo json, const EvLabel *old)
{
	Datum		published = ev_progress_stored_snapshot();
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < old->earlier_count; i++)
		put_period(&list, &old->earlier[i], published);
	put_period(&list, &old->period, published);
	if (list.len == 0)
		return;
	begin_member(json, "earlier");
	appendStringInfo(json, "%s]", list.data);
}

/*
 * Since when rows count.  A table that is attached again, with other options,
 * is one that was attached before: what it still has to publish stays so.
 * Where all that is there is copied now, nothing is left of before.
 */
static void
put_since(StringInfo json, Oid relid, bool copies)
{
	EvLabel		old;
	char	   *text;
	bool		known = !copies && get_label(relid, &old, &text);
	bool		goes_on = known && ev_label_is_attached(&old);

	if (known)
		put_earlier(json, &old);
	if (goes_on && !ev_moment_counts(&old.period.since))
		return;
	begin_member(json, "since");
	appendStringInfoString(json, goes_on ? ev_moment_print(&old.period.since) :
						   ev_moment_now(false));
}

/* ---------------------------------------------------------------------
 * The table
 * ---------------------------------------------------------------------
 */

/* Locks the table, which must be the caller's, and all its partitions. */
static void
lock_table(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char		kind = get_rel_relkind(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!ev_class_ownercheck_compat(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(kind), name);
	if (IsCatalogRelationOid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a system catalog", name)));
	LockRelationOid(relid, LOCK_MODE);

	if (kind == RELKIND_PARTITIONED_TABLE)
		(void) find_all_inheritors(relid, LOCK_MODE, NULL);

	/* It may have been dropped, or given away, before we had the lock. */
	if (get_rel_name(relid) == NULL ||
		!ev_class_ownercheck_compat(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table \"%s\" was changed meanwhile", name)));
}

/* ---------------------------------------------------------------------
 * Rows that are there already
 * ---------------------------------------------------------------------
 */

static void
copy_message(const EvOrigin *origin, const EvMessage *message)
{
	ev_copy_record(message);
}

static void
refuse_malformed(const EvOrigin *origin, const EvMessage *message,
				 const char *row, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("%s cannot be published", row),
			 errdetail("%s.", reason),
			 errhint("Mend the row, or mark it as published.")));
}

static const EvCopying copying_all = {
	.message = copy_message,
	.malformed = refuse_malformed
};

/*
 * Throws if rows that a poller has not met yet would be forgotten: what is in
 * the write-ahead log of them is from a time when they were not read there.
 */
static void
check_reader(Oid relid, const EvLabel *label, bool copies)
{
	EvLabel		old;
	char	   *text;

	if (copies || label->reader != EV_READER_WAL ||
		!get_label(relid, &old, &text) ||
		!ev_label_is_attached(&old) || old.reader != EV_READER_POLLING)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is polled", get_rel_name(relid)),
			 errdetail("Rows that were not polled yet would not be published."),
			 errhint("Use publish_existing => true, or call eventuate_detach() first if they need not be.")));
}

/* ---------------------------------------------------------------------
 * The functions
 * ---------------------------------------------------------------------
 */

/*
 * eventuate_attach(outbox, format, ...): rows that are inserted from now on
 * are published.  A table that is attached already gets new options.
 */
Datum
eventuate_attach(PG_FUNCTION_ARGS)
{
	Oid			relid;
	StringInfoData text;
	EvLabel		label;
	bool		copies = !PG_ARGISNULL(ARG_PUBLISH_EXISTING) &&
	PG_GETARG_BOOL(ARG_PUBLISH_EXISTING);

	ev_check_server("eventuate_attach()");
	ev_check_transaction("eventuate_attach()");
	ev_check_not_null(fcinfo, ARG_OUTBOX, "outbox");
	ev_check_not_null(fcinfo, ARG_FORMAT, "format");
	relid = PG_GETARG_OID(ARG_OUTBOX);
	lock_table(relid);

	initStringInfo(&text);
	put_arguments(&text, fcinfo);
	put_since(&text, relid, copies);
	appendStringInfoChar(&text, '}');
	ev_attach_check(relid, text.data, &label);
	check_reader(relid, &label, copies);
	ev_outbox_set_label(relid, text.data);
	if (copies)
		ev_copy_rows(ev_backlog_lock_table(relid, LOCK_MODE), &copying_all);
	ev_shared_request_at_commit();
	PG_RETURN_VOID();
}

/*
 * eventuate_detach(outbox): rows that are inserted from now on are not
 * published.
 */
Datum
eventuate_detach(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	EvLabel		label;
	StringInfoData changed;
	char	   *text;

	ev_check_transaction("eventuate_detach()");
	lock_table(relid);
	if (!get_label(relid, &label, &text) || !ev_label_is_attached(&label))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not attached", get_rel_name(relid)),
				 errhint("pg_stat_eventuate_outbox shows the tables that are.")));
	initStringInfo(&changed);
	appendBinaryStringInfo(&changed, text, strrchr(text, '}') - text);
	appendStringInfo(&changed, ", \"until\": %s}", ev_moment_now(true));
	ev_outbox_set_label(relid, changed.data);
	PG_RETURN_VOID();
}

/*
 * eventuate.this_moment(): for the labels of tables that CREATE EXTENSION
 * adopts.
 */
Datum
this_moment(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ev_moment_now(false)));
}
