/*-------------------------------------------------------------------------
 *
 * session.h
 *	  A client's connection and its transaction at work.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef SESSION_H
#define SESSION_H

#include <libpq-fe.h>

#include "torture.h"

/* Numbers from here are of records that are rolled back to a savepoint. */
#define UNDONE 900000

typedef enum Style
{
	SEND,						/* eventuate_send() */
	PRODUCE,					/* eventuate_produce() */
	INSERT,						/* INSERT INTO eventuate.message */
	TRAM,						/* the same with ids of one's own */
	ALONE						/* the whole transaction in one statement */
} Style;

extern const char *conninfo;
extern PGconn *connection;
extern int	me;					/* the client's number */

/* The transaction at work; its turn, 0: it has none. */
extern int	transaction;
extern long turn;

void		note(char outcome, int number, int order);
bool		lost_connection(void);
bool		done(PGresult *result);
bool		run(const char *format,...) __attribute__((format(printf, 1, 2)));
bool		is_prepared(int number, bool *prepared);
void		connect_again(void);

/* One statement that sends "count" records, the first with this number. */
bool		send_rows(Style style, int first, int count);

#endif							/* SESSION_H */
