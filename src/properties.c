/*-------------------------------------------------------------------------
 *
 * properties.c
 *	  Lists and files of properties: name=value.
 *
 * Two notations are read here.  A list is what libpq calls a connection
 * string: name=value pairs with blanks between them, where a value may be
 * quoted with ' and a backslash takes away the meaning of the character after
 * it.  A file has one name=value a line, # comments, and [section] lines; its
 * values are taken as they stand up to the end of the line, unless they begin
 * with ': then they are quoted as in a list and may span lines, as the text
 * of a certificate does.
 *
 * The module promises that no error it returns repeats a value, or a word
 * that could be a piece of one: values may be secrets and errors are logged.
 * It is pure: it knows neither files nor settings nor librdkafka, keeps
 * nothing, and so does not notice a restart.
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

#include "common/string.h"
#include "lib/stringinfo.h"

#include "properties.h"

/* Where we are in the text. */
typedef struct Scanner
{
	const char *next;
	int			line;
} Scanner;

/* An empty list, palloc'd. */
EvProperties *
ev_properties_create(void)
{
	EvProperties *properties = palloc0(sizeof(EvProperties));

	properties->allocated = 16;
	properties->items = palloc(properties->allocated * sizeof(EvProperty));
	return properties;
}

/* Append a property; its strings are not copied. */
void
ev_properties_add(EvProperties *properties, const EvProperty *property)
{
	if (properties->count == properties->allocated)
	{
		properties->allocated *= 2;
		properties->items = repalloc(properties->items,
									 properties->allocated * sizeof(EvProperty));
	}
	properties->items[properties->count++] = *property;
}

/* Independent of the locale, unlike isspace(). */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void
skip_blanks(Scanner *scanner, bool newlines_too)
{
	while (is_blank(*scanner->next) || (newlines_too && *scanner->next == '\n'))
	{
		if (*scanner->next == '\n')
			scanner->line++;
		scanner->next++;
	}
}

/*
 * The name up to its "=", which is passed; NULL if there is no name, or a
 * name without "=".
 */
static char *
scan_name(Scanner *scanner)
{
	const char *start = scanner->next;
	char	   *name;

	while (*scanner->next != '\0' && *scanner->next != '=' &&
		   *scanner->next != '\n' && !is_blank(*scanner->next))
		scanner->next++;
	if (scanner->next == start)
		return NULL;

	name = pnstrdup(start, scanner->next - start);
	skip_blanks(scanner, false);
	if (*scanner->next != '=')
		return NULL;
	scanner->next++;
	return name;
}

/* What stands between quotes; NULL if the closing one is missing. */
static char *
scan_quoted(Scanner *scanner)
{
	StringInfoData value;

	initStringInfo(&value);
	scanner->next++;
	while (*scanner->next != '\'')
	{
		if (*scanner->next == '\\' && scanner->next[1] != '\0')
			scanner->next++;
		if (*scanner->next == '\0')
			return NULL;
		if (*scanner->next == '\n')
			scanner->line++;
		appendStringInfoChar(&value, *scanner->next++);
	}
	scanner->next++;
	return value.data;
}

/* What stands up to the next blank. */
static char *
scan_word(Scanner *scanner)
{
	StringInfoData value;

	initStringInfo(&value);
	while (*scanner->next != '\0' && *scanner->next != '\n' &&
		   !is_blank(*scanner->next))
	{
		if (*scanner->next == '\\' && scanner->next[1] != '\0')
			scanner->next++;
		appendStringInfoChar(&value, *scanner->next++);
	}
	return value.data;
}

/* What stands up to the end of the line, without blanks at its end. */
static char *
scan_line(Scanner *scanner)
{
	const char *start = scanner->next;
	const char *end;

	scanner->next += strcspn(start, "\n");
	for (end = scanner->next; end > start && is_blank(end[-1]); end--)
		;
	return pnstrdup(start, end - start);
}

/*
 * Read a list.  Returns NULL and an error, a full sentence that names the
 * property, if it is none.
 */
EvProperties *
ev_properties_parse_list(const char *text, char **error)
{
	EvProperties *properties = ev_properties_create();
	Scanner		scanner = {text, 1};
	const char *previous = NULL;

	for (;;)
	{
		EvProperty	property = {NULL};

		skip_blanks(&scanner, true);
		if (*scanner.next == '\0')
			return properties;

		property.name = scan_name(&scanner);
		if (property.name == NULL)
		{
			*error = previous == NULL ?
				pstrdup("The list does not begin with name=value.") :
				psprintf("After the value of property \"%s\" there is no name=value.",
						 previous);
			return NULL;
		}

		skip_blanks(&scanner, true);
		property.value = *scanner.next == '\'' ?
			scan_quoted(&scanner) : scan_word(&scanner);
		if (property.value == NULL)
		{
			*error = psprintf("The value of property \"%s\" has no closing quote.",
							  property.name);
			return NULL;
		}
		ev_properties_add(properties, &property);
		previous = property.name;
	}
}

/*
 * The name between [ and ], which must be all there is on the line; NULL if
 * there is none.
 */
static char *
scan_section(Scanner *scanner)
{
	char	   *line;
	size_t		length;

	scanner->next++;
	skip_blanks(scanner, false);
	line = scan_line(scanner);
	length = strlen(line);
	if (length == 0 || line[length - 1] != ']')
		return NULL;
	for (length--; length > 0 && is_blank(line[length - 1]); length--)
		;
	line[length] = '\0';
	return length == 0 ? NULL : line;
}

/*
 * Read one line that is a property.  Returns NULL, or what is wrong with it.
 */
static char *
scan_property(Scanner *scanner, EvProperty *property)
{
	property->line = scanner->line;
	property->name = scan_name(scanner);
	if (property->name == NULL)
		return pstrdup("The line is not of the form name=value.");

	skip_blanks(scanner, false);
	if (*scanner->next != '\'')
	{
		property->value = scan_line(scanner);
		return NULL;
	}

	property->value = scan_quoted(scanner);
	if (property->value == NULL)
		return psprintf("The value of property \"%s\" has no closing quote.",
						property->name);
	skip_blanks(scanner, false);
	if (*scanner->next != '\n' && *scanner->next != '\0')
		return psprintf("Something follows the quoted value of property \"%s\".",
						property->name);
	return NULL;
}

/*
 * Read a file, given as text.  Returns NULL, the number of the line and an
 * error, a full sentence, if it is none.
 */
EvProperties *
ev_properties_parse_file(const char *text, int *line, char **error)
{
	EvProperties *properties = ev_properties_create();
	Scanner		scanner = {text, 1};
	const char *section = NULL;

	for (;;)
	{
		EvProperty	property = {NULL};

		skip_blanks(&scanner, true);
		*line = scanner.line;
		if (*scanner.next == '\0')
			return properties;
		if (*scanner.next == '#')
		{
			scanner.next += strcspn(scanner.next, "\n");
			continue;
		}
		if (*scanner.next == '[')
		{
			section = scan_section(&scanner);
			if (section != NULL)
				continue;
			*error = pstrdup("The line is not of the form [database].");
			return NULL;
		}

		*error = scan_property(&scanner, &property);
		if (*error != NULL)
			return NULL;
		property.section = section;
		ev_properties_add(properties, &property);
	}
}

/*
 * Fill in a problem; the hint is copied, the detail is not.  Returns false, so
 * that a check can return this.
 */
bool
ev_properties_refuse(EvProblem *problem, int sqlstate, char *detail,
					 const char *hint)
{
	problem->sqlstate = sqlstate;
	problem->detail = detail;
	problem->hint = hint == NULL ? NULL : pstrdup(hint);
	return false;
}
