/*-------------------------------------------------------------------------
 *
 * properties_file.c
 *	  Reading a file of properties that may hold secrets.
 *
 * The file is opened and read within one call; nothing of it is kept, so that
 * after a reload or a restart its newest content counts.  The module promises
 * not to read a file that others could have read or written, to name file and
 * line in each error, and to repeat no value there.  Nothing is thrown for
 * what is wrong with the file: it is for the caller to decide what follows.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "properties_file.h"

/* More than any list of properties, certificates included. */
#define MAX_FILE_SIZE (1024 * 1024)

/* Say in which line of the file the problem is. */
void
ev_properties_file_locate(EvProblem *problem, const char *path, int line)
{
	problem->detail = psprintf("File \"%s\", line %d: %s",
							   path, line, problem->detail);
}

/*
 * Only the server, or root on its behalf, may have written the file, and
 * nobody else may read it: the rule for a server's private key.
 */
static bool
check_mode(FILE *file, const char *path, EvProblem *problem)
{
	struct stat st;
	mode_t		forbidden;

	if (fstat(fileno(file), &st) != 0)
		return ev_properties_refuse(problem, errcode_for_file_access(),
									psprintf("Could not stat file \"%s\": %m.", path),
									NULL);
	if (!S_ISREG(st.st_mode))
		return ev_properties_refuse(problem, ERRCODE_CONFIG_FILE_ERROR,
									psprintf("\"%s\" is not a regular file.", path),
									NULL);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return ev_properties_refuse(problem, ERRCODE_CONFIG_FILE_ERROR,
									psprintf("File \"%s\" is not owned by the database user or root.",
											 path),
									NULL);

	forbidden = st.st_uid == geteuid() ? S_IRWXG | S_IRWXO :
		S_IWGRP | S_IXGRP | S_IRWXO;
	if ((st.st_mode & forbidden) != 0)
		return ev_properties_refuse(problem, ERRCODE_CONFIG_FILE_ERROR,
									psprintf("File \"%s\" has group or world access.",
											 path),
									"It must have permissions u=rw (0600) or less if owned by the database user, or permissions u=rw,g=r (0640) or less if owned by root.");
	return true;
}

/* The content of an open file; NULL if it cannot be had. */
static char *
read_text(FILE *file, const char *path, EvProblem *problem)
{
	char	   *text = palloc(MAX_FILE_SIZE + 1);
	size_t		length = fread(text, 1, MAX_FILE_SIZE + 1, file);

	if (ferror(file))
	{
		ev_properties_refuse(problem, ERRCODE_IO_ERROR,
							 psprintf("Could not read file \"%s\": %m.", path), NULL);
		return NULL;
	}
	if (length > MAX_FILE_SIZE || memchr(text, '\0', length) != NULL)
	{
		ev_properties_refuse(problem, ERRCODE_CONFIG_FILE_ERROR,
							 psprintf("File \"%s\" is not a file of properties.",
									  path), NULL);
		return NULL;
	}
	text[length] = '\0';
	return text;
}

/*
 * All properties in the file; NULL and the problem if it cannot be read or is
 * none.  The path may be relative: every server process runs in the data
 * directory.
 */
EvProperties *
ev_properties_file_read(const char *path, EvProblem *problem)
{
	EvProperties *properties;
	FILE	   *file;
	char	   *text = NULL;
	char	   *error;
	int			line;

	file = AllocateFile(path, "r");
	if (file == NULL)
	{
		ev_properties_refuse(problem,
							 errno == ENOENT ? ERRCODE_UNDEFINED_FILE :
							 errno == EACCES ? ERRCODE_INSUFFICIENT_PRIVILEGE :
							 ERRCODE_IO_ERROR,
							 psprintf("Could not open file \"%s\": %m.", path), NULL);
		return NULL;
	}
	if (check_mode(file, path, problem))
		text = read_text(file, path, problem);
	FreeFile(file);
	if (text == NULL)
		return NULL;

	properties = ev_properties_parse_file(text, &line, &error);
	if (properties == NULL)
	{
		ev_properties_refuse(problem, ERRCODE_SYNTAX_ERROR, error, NULL);
		ev_properties_file_locate(problem, path, line);
	}
	return properties;
}
