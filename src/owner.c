/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Acting as the owner of a table.
 *
 * Workers are superuser, and so are some who send; whoever owns a table need
 * not be.  What is done to the table can run code of its owner's, as triggers:
 * so it is done as the owner, in a context from which there is no way back to
 * us.  It is what autovacuum does.
 *
 * An error between the two calls ends the (sub)transaction, which puts
 * everything back.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "owner.h"

/* From now on we are "owner".  Needs a transaction. */
void
ev_owner_assume(Oid owner, EvOwner *saved)
{
	GetUserIdAndSecContext(&saved->user, &saved->security);
	saved->settings = NewGUCNestLevel();
	SetUserIdAndSecContext(owner, saved->security | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

/* Back to who we were. */
void
ev_owner_resume(const EvOwner *saved)
{
	AtEOXact_GUC(false, saved->settings);
	SetUserIdAndSecContext(saved->user, saved->security);
}
