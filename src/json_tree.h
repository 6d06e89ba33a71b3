/*-------------------------------------------------------------------------
 *
 * json_tree.h
 *	  Any value of JSON, read and written as Jackson does.  Pure.
 *
 * The contracts stand above the functions in json_tree.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_JSON_TREE_H
#define EV_JSON_TREE_H

#include "json.h"

/* Longer text is not taken: keeps all that is made of it below 1 GB. */
#define EV_JSON_TREE_MAX_TEXT (16 * 1024 * 1024)

/* So many arrays and objects may lie in one another. */
#define EV_JSON_TREE_MAX_DEPTH 1000

typedef enum EvJsonKind
{
	EV_JSON_NULL,
	EV_JSON_BOOLEAN,
	EV_JSON_NUMBER,
	EV_JSON_STRING,
	EV_JSON_ARRAY,
	EV_JSON_OBJECT
} EvJsonKind;

/*
 * A value.  text is that of a boolean or number as it was read, or that of a
 * string, unescaped.  What an array or object holds follows right behind it.
 */
typedef struct EvJsonNode
{
	EvJsonKind	kind;
	EvSlice		name;			/* in an object: unescaped */
	EvSlice		text;
	size_t		next;			/* position behind all that is in it */
	size_t		value;			/* in an object: whose value counts */
} EvJsonNode;

typedef struct EvJsonTree
{
	EvJsonNode *nodes;			/* the first is the whole */
	size_t		count;
	size_t		capacity;
	char	   *text;			/* unescaped strings: as long as the input */
	size_t		used;			/* of text */
} EvJsonTree;

extern EvJsonError ev_json_tree_read(EvJsonTree *tree, const char *text,
									 size_t length);
extern EvJsonError ev_json_tree_read_first(EvJsonTree *tree, const char *text,
										   size_t length);
extern const EvJsonNode *ev_json_tree_value(const EvJsonTree *tree,
											const EvJsonNode *member);
extern void ev_json_tree_append(StringInfo out, const EvJsonTree *tree);
extern const EvJsonNode *ev_json_tree_member(const EvJsonTree *tree,
											 const char *name);
extern void ev_json_tree_free(EvJsonTree *tree);

#endif							/* EV_JSON_TREE_H */
