/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  Acting as the owner of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_OWNER_H
#define EV_OWNER_H

/* Who we were before. */
typedef struct EvOwner
{
	Oid			user;
	int			security;
	int			settings;		/* level of nesting */
} EvOwner;

extern void ev_owner_assume(Oid owner, EvOwner *saved);
extern void ev_owner_resume(const EvOwner *saved);

#endif							/* EV_OWNER_H */
