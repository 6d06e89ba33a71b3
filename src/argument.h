/*-------------------------------------------------------------------------
 *
 * argument.h
 *	  What the functions that send have in common: checks and arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_ARGUMENT_H
#define EV_ARGUMENT_H

#include "fmgr.h"

#include "compat.h"

/* How an argument's bytes are to be got at. */
typedef enum EvForm
{
	EV_FORM_TEXT,				/* text or json */
	EV_FORM_JSONB,
	EV_FORM_BYTES
} EvForm;

/* Length of a text or bytea; NULL has none. */
static inline size_t
ev_argument_size(const void *varlena)
{
	return varlena == NULL ? 0 : VARSIZE_ANY_EXHDR(varlena);
}

extern void ev_check_server(const char *function);
extern void ev_check_transaction(const char *function);
extern void ev_check_not_delayed(FunctionCallInfo fcinfo, int arg);
extern void ev_check_not_null(FunctionCallInfo fcinfo, int arg,
							  const char *what);
extern void ev_check_topic(const text *topic, const char *what);
extern void ev_check_size(size_t size);

extern text *ev_argument_text(FunctionCallInfo fcinfo, int arg, EvForm form);
extern bytea *ev_argument_bytes(FunctionCallInfo fcinfo, int arg, EvForm form);
extern bytea *ev_argument_utf8(text *value);

#endif							/* EV_ARGUMENT_H */
