/*-------------------------------------------------------------------------
 *
 * properties.h
 *	  Lists and files of properties: name=value.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PROPERTIES_H
#define EV_PROPERTIES_H

typedef struct EvProperty
{
	const char *section;		/* NULL: outside of any */
	const char *name;
	const char *value;
	int			line;			/* in the file; 0: not from a file */
} EvProperty;

/* Properties in the order in which they were written; grows as needed. */
typedef struct EvProperties
{
	EvProperty *items;
	int			count;
	int			allocated;
} EvProperties;

/* Why something is refused; detail and hint are full sentences. */
typedef struct EvProblem
{
	int			sqlstate;
	char	   *detail;
	char	   *hint;			/* or NULL */
} EvProblem;

extern EvProperties *ev_properties_create(void);
extern void ev_properties_add(EvProperties *properties,
							  const EvProperty *property);
extern EvProperties *ev_properties_parse_list(const char *text, char **error);
extern EvProperties *ev_properties_parse_file(const char *text, int *line,
											  char **error);
extern bool ev_properties_refuse(EvProblem *problem, int sqlstate,
								 char *detail, const char *hint);

#endif							/* EV_PROPERTIES_H */
