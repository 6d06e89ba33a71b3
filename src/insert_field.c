/*-------------------------------------------------------------------------
 *
 * insert_field.c
 *	  The fields of a new row.
 *
 * No state here, so nothing to restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "eventuate.h"
#include "insert.h"

/* A column that every table has; value is a varlena, NULL is SQL's null. */
EvField
ev_field_varlena(const char *name, Oid type, const void *value)
{
	EvField		field = {name, type, EV_FIELD_REQUIRED, value == NULL,
	PointerGetDatum(value)};

	return field;
}

/* A column that an adopted table may be without. */
EvField
ev_field_optional(const char *name, Oid type, Datum value)
{
	EvField		field = {name, type, EV_FIELD_OPTIONAL, false, value};

	return field;
}

/* When this transaction began, as Tram's producers note it with each row. */
EvField
ev_field_creation_time(void)
{
	int64		now_ms = ev_epoch_ms(GetCurrentTransactionStartTimestamp());

	return ev_field_optional("creation_time", INT8OID, Int64GetDatum(now_ms));
}

/* The top-level transaction, also in a subtransaction: see recovery. */
EvField
ev_field_txid(void)
{
	return ev_field_optional("txid", XID8OID,
							 FullTransactionIdGetDatum(GetTopFullTransactionId()));
}
