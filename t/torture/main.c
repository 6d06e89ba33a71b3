/*-------------------------------------------------------------------------
 *
 * main.c
 *	  The programs of the torture checker (t/Torture.pm): one that sends, one
 *	  that looks at the statistics, one that reads the topics back.
 *
 *	torture_client send CONNINFO CLIENT SEED PAUSE
 *		Transactions of every kind, PAUSE ms apart on average, until SIGTERM.
 *		One line on stdout for each, when its end is known:
 *			C client transaction order		COMMIT was answered
 *			U client transaction order		it was not, or promised little:
 *											the table "truth" knows
 *			A client transaction order		it cannot have committed
 *			E client transaction message	an error that nobody provoked
 *
 *	torture_client sample CONNINFO
 *		Every 20 ms a line: time in ms, state, pid, in_flight, unconfirmed,
 *		messages, stored snapshot; tabs between them.
 *
 *	torture_client read BROKERS PARTITIONS TOPIC...
 *		Every record until stdin ends, and then up to the ends of the
 *		partitions: topic's number, partition, offset, timestamp, key, client,
 *		transaction, number in the transaction, turn, a hash of the message's
 *		id or 0, and 1 if the record is what was sent; blanks between them.
 *		With "read-committed" there are offsets without a record.
 *
 * A payload names itself: "T.client.transaction.number.turn.length.filler",
 * the filler being random but known.  Records that are rolled back to a
 * savepoint have numbers from UNDONE; a transaction that commits leaves its
 * count of records in "truth".
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "torture.h"

volatile sig_atomic_t stopping = 0;

static void
stop(int signal_number)
{
	(void) signal_number;
	stopping = 1;
}

int
main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && strcmp(argv[1], "send") == 0)
		return send_until_stopped(argc, argv);
	if (argc > 1 && strcmp(argv[1], "sample") == 0)
		return sample_until_stopped(argc, argv);
	if (argc > 1 && (strcmp(argv[1], "read") == 0 || strcmp(argv[1], "read-committed") == 0))
		return read_topics(argc, argv);
	fprintf(stderr, "torture_client: see the head of t/torture/main.c\n");
	return 2;
}
