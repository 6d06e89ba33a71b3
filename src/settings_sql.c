/*-------------------------------------------------------------------------
 *
 * settings_sql.c
 *	  eventuate_kafka_settings(): the librdkafka properties in effect.
 *
 * The function promises to show what a publisher of the current database
 * would be given at this moment, with secrets masked, and to leave nothing
 * behind, error or not.  It starts no thread and opens no connection.
 *
 * Settings and file are read at each call; a restart changes nothing.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "settings_kafka.h"

#define MASK "********"

PG_FUNCTION_INFO_V1(eventuate_kafka_settings);

/*
 * SQL: eventuate_kafka_settings(OUT name text, OUT value text)
 *
 * Properties that only a program could set are left out: there is nothing to
 * see.
 */
Datum
eventuate_kafka_settings(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	EvProblem	problem = {0};
	EvProperties *properties;

	InitMaterializedSRF(fcinfo, 0);

	properties = ev_settings_kafka_dump(get_database_name(MyDatabaseId),
										&problem);
	if (properties == NULL)
		ereport(ERROR,
				(errcode(problem.sqlstate),
				 errmsg("could not determine the librdkafka properties"),
				 errdetail("%s", problem.detail),
				 problem.hint ? errhint("%s", problem.hint) : 0));

	for (int i = 0; i < properties->count; i++)
	{
		const EvProperty *property = &properties->items[i];
		const char *value = property->value;
		bool		nulls[2] = {false, false};
		Datum		values[2];

		if (ev_kafka_rules_handle(property->name))
			continue;
		if (value[0] != '\0' && ev_kafka_rules_secret(property->name))
			value = MASK;
		values[0] = CStringGetTextDatum(property->name);
		values[1] = CStringGetTextDatum(value);
		tuplestore_putvalues(result->setResult, result->setDesc,
							 values, nulls);
	}
	return (Datum) 0;
}
