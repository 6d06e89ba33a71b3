/*-------------------------------------------------------------------------
 *
 * test_inflight.c
 *	  The window of unacknowledged transactions against a naive model.
 *
 * Random interleavings of all operations go to the window and to a list that
 * is searched from its start for every answer; the answers must agree after
 * every step.  Apart from the model the one property that matters is checked
 * on its own: the safe position is never at or past the end of a transaction
 * with a record that is not acknowledged.
 *
 * Prints TAP; exits 1 if a test failed.  A seed may be given as argument.
 * "make t/unit/test_inflight" builds it; with COPT=-UUSE_ASSERT_CHECKING it
 * tests what a build without assertions does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inflight.h"

#define STEPS 1000000
#define MAX_MODEL 4096
#define CHECK(condition) check((condition), #condition, __LINE__)

typedef struct ModelTransaction
{
	EvTicket	ticket;
	XLogRecPtr	end_lsn;
	int64		commit_time;
	int			records;
	int			pending;
	bool		committed;
} ModelTransaction;

static ModelTransaction model[MAX_MODEL];
static int	model_count;
static XLogRecPtr model_safe_lsn;
static int64 model_safe_time;

static uint64 seed;
static uint64 random_state;
static long step;
static int	test_number;
static bool test_failed;
static bool any_failed;

static void
check(bool condition, const char *text, int line)
{
	if (condition)
		return;
	if (!test_failed)
		printf("# line %d: not %s (seed " UINT64_FORMAT ", step %ld)\n",
			   line, text, seed, step);
	test_failed = true;
}

static void
end_test(const char *name)
{
	printf("%s %d - %s\n", test_failed ? "not ok" : "ok", ++test_number, name);
	any_failed |= test_failed;
	test_failed = false;
}

/* xorshift64*: the same numbers everywhere. */
static uint64
random_below(uint64 limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64CONST(0x2545F4914F6CDD1D) >> 32) % limit;
}

static void
model_drop_done(void)
{
	int			done = 0;

	while (done < model_count && model[done].committed &&
		   model[done].pending == 0)
	{
		if (model[done].end_lsn != InvalidXLogRecPtr)
			model_safe_lsn = model[done].end_lsn;
		if (model[done].commit_time > model_safe_time)
			model_safe_time = model[done].commit_time;
		done++;
	}
	model_count -= done;
	memmove(model, model + done, model_count * sizeof(ModelTransaction));
}

static void
compare(EvInflight *window)
{
	uint64		pending = 0;
	uint64		records = 0;
	int			i;

	for (i = 0; i < model_count; i++)
	{
		pending += model[i].pending;
		records += model[i].records;
		if (model[i].pending > 0 && model[i].end_lsn != InvalidXLogRecPtr)
			CHECK(ev_inflight_safe_lsn(window) < model[i].end_lsn);
	}
	CHECK(ev_inflight_safe_lsn(window) == model_safe_lsn);
	CHECK(ev_inflight_safe_time(window) == model_safe_time);
	CHECK(ev_inflight_empty(window) == (model_count == 0));
	CHECK(ev_inflight_messages(window) == pending);
	CHECK(ev_inflight_unconfirmed(window) == records);
	if (model_count > 0)
	{
		i = random_below(model_count);
		CHECK(ev_inflight_end_lsn(window, model[i].ticket) ==
			  model[i].end_lsn);
	}
}

static void
random_begin(EvInflight *window)
{
	static XLogRecPtr end_lsn;
	static EvTicket last_ticket;
	ModelTransaction *transaction = &model[model_count++];

	if (step == 0)
	{
		end_lsn = 1000;
		last_ticket = 0;
	}
	memset(transaction, 0, sizeof(*transaction));
	if (random_below(10) > 0)
		transaction->end_lsn = end_lsn += 1 + random_below(1000);
	/* Commit times may fall. */
	transaction->commit_time = 1 + step + random_below(50);
	transaction->ticket = ev_inflight_begin(window, transaction->end_lsn,
											transaction->commit_time);
	CHECK(last_ticket == 0 || transaction->ticket == last_ticket + 1);
	CHECK(transaction->ticket != 0);
	last_ticket = transaction->ticket;
}

/*
 * One random operation that is allowed in the model's state.  "target" is
 * about how many transactions there should be.
 */
static void
random_step(EvInflight *window, int target)
{
	ModelTransaction *transaction;
	int			what = random_below(100);

	if (model_count == 0 ||
		(model_count < MAX_MODEL && what < (model_count < target ? 35 : 5)))
	{
		random_begin(window);
		return;
	}
	/* Often one of the newest or oldest: where things happen. */
	switch (random_below(4))
	{
		case 0:
			transaction = &model[model_count - 1];
			break;
		case 1:
			transaction = &model[0];
			break;
		default:
			transaction = &model[random_below(model_count)];
	}
	what = random_below(100);
	if (what < 25 && !transaction->committed)
	{
		ev_inflight_add(window, transaction->ticket);
		transaction->records++;
		transaction->pending++;
	}
	else if (what < 50 && !transaction->committed)
	{
		ev_inflight_commit(window, transaction->ticket);
		transaction->committed = true;
	}
	else if (transaction->pending > 0)
	{
		ev_inflight_ack(window, transaction->ticket);
		transaction->pending--;
	}
	model_drop_done();
}

static void
test_random(uint64 first_seed, int largest)
{
	EvInflight *window = ev_inflight_create();
	int			target = 1;
	int			reached = 0;
	char		name[100];

	seed = random_state = first_seed;
	model_count = 0;
	model_safe_lsn = InvalidXLogRecPtr;
	model_safe_time = 0;
	CHECK(ev_inflight_safe_lsn(window) == InvalidXLogRecPtr);
	for (step = 0; step < STEPS && !test_failed; step++)
	{
		/* Let the window swell and shrink. */
		if (random_below(1000) == 0)
			target = random_below(2) ? random_below(10) :
				random_below(largest);
		random_step(window, target);
		compare(window);
		reached = Max(reached, model_count);
	}
	ev_inflight_destroy(window);
	snprintf(name, sizeof(name), "%d random steps, seed " UINT64_FORMAT
			 ", up to %d transactions", STEPS, first_seed, reached);
	end_test(name);
}

/* The order in which a window is used in practice, with known answers. */
static void
test_example(void)
{
	EvInflight *window = ev_inflight_create();
	EvTicket	a = ev_inflight_begin(window, 100, 7);
	EvTicket	b;
	EvTicket	c;

	CHECK(!ev_inflight_empty(window));
	ev_inflight_add(window, a);
	ev_inflight_add(window, a);
	ev_inflight_ack(window, a);
	ev_inflight_ack(window, a);
	CHECK(ev_inflight_safe_lsn(window) == InvalidXLogRecPtr);
	CHECK(ev_inflight_unconfirmed(window) == 2);
	CHECK(ev_inflight_messages(window) == 0);
	ev_inflight_add(window, a);
	ev_inflight_commit(window, a);

	b = ev_inflight_begin(window, 200, 9);
	ev_inflight_add(window, b);
	ev_inflight_commit(window, b);
	c = ev_inflight_begin(window, InvalidXLogRecPtr, 8);
	ev_inflight_add(window, c);
	ev_inflight_commit(window, c);

	ev_inflight_ack(window, b);
	ev_inflight_ack(window, c);
	CHECK(ev_inflight_safe_lsn(window) == InvalidXLogRecPtr);
	CHECK(ev_inflight_safe_time(window) == 0);
	CHECK(ev_inflight_messages(window) == 1);
	CHECK(ev_inflight_unconfirmed(window) == 5);
	CHECK(ev_inflight_end_lsn(window, b) == 200);
	ev_inflight_ack(window, a);
	CHECK(ev_inflight_safe_lsn(window) == 200);
	CHECK(ev_inflight_safe_time(window) == 9);
	CHECK(ev_inflight_unconfirmed(window) == 0);
	CHECK(ev_inflight_empty(window));

	/* A transaction without records is done when it is committed. */
	a = ev_inflight_begin(window, 300, 3);
	CHECK(ev_inflight_safe_lsn(window) == 200);
	ev_inflight_commit(window, a);
	CHECK(ev_inflight_safe_lsn(window) == 300);
	CHECK(ev_inflight_safe_time(window) == 9);
	ev_inflight_destroy(window);
	end_test("an example by hand");
}

/* The ring grows many times over; full() is true from the bound on. */
static void
test_bound(void)
{
	EvInflight *window = ev_inflight_create();
	EvTicket	first = ev_inflight_begin(window, 1, 1);
	EvTicket	ticket = first;
	uint64		i;

	ev_inflight_add(window, first);
	for (i = 2; i <= EV_INFLIGHT_MAX; i++)
	{
		CHECK(!ev_inflight_full(window));
		ticket = ev_inflight_begin(window, i, i);
		ev_inflight_add(window, ticket);
		ev_inflight_commit(window, ticket);
	}
	CHECK(ev_inflight_full(window));
	/* Not refused, should a caller go on. */
	ticket = ev_inflight_begin(window, i, i);
	ev_inflight_commit(window, ticket);
	CHECK(ev_inflight_full(window));

	for (i = EV_INFLIGHT_MAX; i >= 2; i--)
	{
		CHECK(ev_inflight_end_lsn(window, first + i - 1) == i);
		ev_inflight_ack(window, first + i - 1);
	}
	CHECK(ev_inflight_messages(window) == 1);
	CHECK(ev_inflight_unconfirmed(window) == EV_INFLIGHT_MAX);
	CHECK(ev_inflight_safe_lsn(window) == InvalidXLogRecPtr);
	ev_inflight_ack(window, first);
	CHECK(ev_inflight_safe_lsn(window) == InvalidXLogRecPtr);
	ev_inflight_commit(window, first);
	CHECK(ev_inflight_safe_lsn(window) == EV_INFLIGHT_MAX + 1);
	CHECK(ev_inflight_safe_time(window) == EV_INFLIGHT_MAX + 1);
	CHECK(ev_inflight_empty(window) && !ev_inflight_full(window));
	ev_inflight_destroy(window);
	end_test("the bound of the window");
}

/*
 * What a caller must not do: an assertion stops it, and without assertions
 * the window stays as it was.
 */
static void
misuse(EvInflight *window, void (*function) (EvInflight *, EvTicket),
	   EvTicket ticket)
{
#ifdef USE_ASSERT_CHECKING
	int			status = 0;
	pid_t		child = fork();

	if (child == 0)
	{
		fclose(stderr);
		fclose(stdout);
		function(window, ticket);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#else
	function(window, ticket);
#endif
}

static void
test_misuse(void)
{
	static const uint64 offsets[] = {1, 2, 63, 64, 65, 1000000,
	UINT64CONST(1) << 63, PG_UINT64_MAX};
	EvInflight *window = ev_inflight_create();
	EvTicket	done = ev_inflight_begin(window, 10, 1);
	EvTicket	ticket;
	size_t		i;

	fflush(stdout);
	ev_inflight_commit(window, done);
	ticket = ev_inflight_begin(window, 20, 2);
	misuse(window, ev_inflight_ack, ticket);	/* no record waits */
	ev_inflight_add(window, ticket);
	for (i = 0; i < lengthof(offsets); i++)
	{
		misuse(window, ev_inflight_ack, ticket + offsets[i]);
		misuse(window, ev_inflight_add, ticket + offsets[i]);
		misuse(window, ev_inflight_commit, ticket + offsets[i]);
	}
	misuse(window, ev_inflight_ack, done);
	misuse(window, ev_inflight_ack, 0);
	CHECK(ev_inflight_safe_lsn(window) == 10);
	CHECK(ev_inflight_messages(window) == 1);
	CHECK(ev_inflight_unconfirmed(window) == 1);
	ev_inflight_commit(window, ticket);
	CHECK(ev_inflight_safe_lsn(window) == 10);
	ev_inflight_ack(window, ticket);
	CHECK(ev_inflight_safe_lsn(window) == 20);
	misuse(window, ev_inflight_ack, ticket);
	CHECK(ev_inflight_messages(window) == 0);
	CHECK(ev_inflight_safe_lsn(window) == 20);
	ev_inflight_destroy(window);
	end_test("tickets that are not in the window");
}

int
main(int argc, char **argv)
{
	printf("1..8\n");
	test_example();
	test_bound();
	test_misuse();
	test_random(argc > 1 ? strtoull(argv[1], NULL, 10) : 1, 3);
	test_random(2, 20);
	test_random(3, 100);
	test_random(4, 100);
	test_random(5, 500);
	return any_failed ? 1 : 0;
}
