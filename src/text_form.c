/*-------------------------------------------------------------------------
 *
 * text_form.c
 *	  The one text that a value has.
 *
 * What PostgreSQL writes for a time, a number or a name depends on settings,
 * which any session, role or database can have its own of.  A record does not:
 * wherever a row becomes a message, these settings are the same.
 *
 * Owns no state: the settings are those of the process, or of a level of
 * nesting that the caller ends.  Nothing here survives a restart.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "text_form.h"

/* What is as exact as can be, and means the same everywhere. */
static const char *const settings[][2] = {
	{"DateStyle", "ISO"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"extra_float_digits", "3"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},

	/* Names of objects, as regclass has them. */
	{"search_path", "pg_catalog, pg_temp"},
	{"quote_all_identifiers", "off"}
};

/* For as long as this process lives, whatever is configured or set later. */
void
ev_text_form_override(void)
{
	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * In a session: until the current level of settings ends, be it by
 * AtEOXact_GUC() or with the (sub)transaction.
 */
void
ev_text_form_assume(void)
{
	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}
