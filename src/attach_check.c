/*-------------------------------------------------------------------------
 *
 * attach_check.c
 *	  Does a label make sense, and does it fit the table?
 *
 * What decoding would find wrong only when it meets a row is refused here, in
 * the call that attaches the table.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_collation.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "argument.h"
#include "attach_check.h"
#include "outbox.h"

/* The longest regular expression for topics, in bytes. */
#define MAX_TOPICS 10000

/*
 * Is the regular expression one that any topic can be compared with?  One with
 * back references can take for ever, which the publisher has not got.
 */
static void
check_topics(const EvLabel *label)
{
	text	   *pattern;
	regex_t    *expression;

	if (label->topics == NULL)
		return;
	pattern = cstring_to_text(psprintf("^(?:%s)$", label->topics));
	if (VARSIZE_ANY_EXHDR(pattern) > MAX_TOPICS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topics is too long"),
				 errdetail("The limit is %d bytes.", MAX_TOPICS)));
	expression = RE_compile_and_cache(pattern, REG_ADVANCED | REG_NOSUB,
									  C_COLLATION_OID);
	if (expression->re_info & REG_UBACKREF)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topics must not have back references")));
}

/* A topic for all rows must be one that Kafka takes. */
static void
check_topic(const EvLabel *label)
{
	if (label->topic != NULL && strstr(label->topic, "${") == NULL)
		ev_check_topic(cstring_to_text(label->topic), "topic");
}

/* Rows that go to another server, or are not logged, would never be seen. */
static void
check_partitions(Oid relid, const EvLabel *label)
{
	Oid			partition = label->reader == EV_READER_WAL ?
	ev_outbox_unreadable_partition(relid) : InvalidOid;

	if (OidIsValid(partition))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition \"%s\" of \"%s\" cannot be read from the write-ahead log",
						get_rel_name(partition), get_rel_name(relid)),
				 errdetail("Foreign and unlogged tables cannot.")));
}

/* Can it be told which rows are old, and are there any that stay that long? */
static void
check_retention(Oid relid, const EvOutbox *outbox, bool has_age)
{
	const EvLabel *label = &outbox->label;

	if (label->retention == NULL)
		return;
	if (!has_age)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("rows of table \"%s\" cannot have a retention", get_rel_name(relid)),
				 errdetail("It has no column that tells how old a row is."),
				 errhint("That is a column \"creation_time\", or one that \"columns\" names as \"timestamp\".")));
	if (label->reader == EV_READER_POLLING &&
		outbox->columns[EV_COLUMN_PUBLISHED] == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("rows of table \"%s\" cannot have a retention", get_rel_name(relid)),
				 errdetail("It is polled and has no column to mark published rows in, so they are deleted at once."),
				 errhint("Name such a column in the argument \"columns\", such as '{\"published\": \"done\"}', or leave the retention out.")));
}

/*
 * Parses the label that a table is to have.  Throws if it makes no sense, or
 * does not fit the table, which the caller has locked.
 */
void
ev_attach_check(Oid relid, const char *text, EvLabel *label)
{
	EvOutbox	outbox = {0};
	const char *reason;
	Relation	relation;
	bool		has_age;

	if (!ev_label_parse(text, label, &reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" cannot be attached", get_rel_name(relid)),
				 errdetail("%s.", reason)));
	if (!ev_outbox_is_readable(relid, label->reader))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be read from the write-ahead log",
						get_rel_name(relid)),
				 errdetail("Only tables that are neither temporary nor unlogged can."),
				 errhint("Use reader => 'polling'.")));
	check_partitions(relid, label);
	check_topic(label);
	check_topics(label);
	relation = relation_open(relid, NoLock);
	outbox.label = *label;
	ev_outbox_map_columns(&outbox, RelationGetDescr(relation));
	has_age = ev_outbox_age_column(&outbox, RelationGetDescr(relation)) != 0;
	relation_close(relation, NoLock);
	if (outbox.problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table \"%s\" cannot be attached as \"%s\"",
						get_rel_name(relid), ev_label_format_name(label->format)),
				 errdetail("In this format %s.", outbox.problem),
				 errhint("Name the columns in the argument \"columns\", such as '{\"value\": \"body\", \"topic\": null}', where null is none.")));
	check_retention(relid, &outbox, has_age);
	if (label->reader == EV_READER_POLLING &&
		outbox.columns[EV_COLUMN_ID] == 0 && outbox.columns[EV_COLUMN_DBID] == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table \"%s\" cannot be polled", get_rel_name(relid)),
				 errdetail("It has no column \"id\", which rows are read and marked by."),
				 errhint("Name the column in the argument \"columns\", such as '{\"id\": \"key\"}'.")));
}
