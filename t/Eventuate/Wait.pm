# Waiting for what servers say: the view, the log, any query.  Functions of
# Eventuate.

package Eventuate;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our $timeout;

# Call CODE until it returns true; that is returned.  What is waited for is
# told when it does not come, with $Eventuate::seen if CODE has set that.
our $seen;

sub wait_until
{
	my ($what, $code, $seconds) = @_;
	my $deadline = time + ($seconds || $timeout);
	my $pause = 0.01;

	local $seen;
	while (1)
	{
		my $result = $code->();
		return $result if $result;
		die "timed out waiting for $what"
		  . (defined $seen ? "; last seen: $seen" : '') . "\n"
		  if time > $deadline;
		sleep($pause);
		$pause *= 1.5 if $pause < 0.2;
	}
}

# The answer to a query, undef where there is none: the server may be down.
sub ask
{
	my ($node, $database, $query) = @_;
	my ($out, $err) = ('', '');

	my $done = IPC::Run::run(
		[
			$node->installed_command('psql'), '-XAtq',
			'-v', 'ON_ERROR_STOP=1',
			'-d', $node->connstr($database),
			'-c', $query
		],
		'<', \undef, '>', \$out, '2>', \$err);
	chomp($out, $err);
	$seen = $done ? "\"$out\"" : $err;
	return $done ? $out : undef;
}

# Until the query answers what is expected ("t").
sub wait_for_query
{
	my ($node, $database, $query, $expected) = @_;

	$expected //= 't';
	wait_until(
		"\"$expected\" from $query",
		sub {
			my $answer = ask($node, $database, $query);
			return defined $answer && $answer eq $expected;
		});
	return;
}

# Until pg_stat_eventuate shows the database ('postgres') in this state.
sub wait_for_state
{
	my ($node, $database, $state) = @_;

	wait_until(
		"state $state of $database",
		sub {
			my $row = ask($node, $database,
				"SELECT state || coalesce(': ' || last_error, '') FROM pg_stat_eventuate WHERE datname = '$database'");
			return defined $row && $row =~ /^\Q$state\E(:|$)/;
		});
	return;
}

# Until everything committed so far is acknowledged by Kafka.  An LSN right
# behind a page's header is as good as the page's beginning.
sub wait_caught_up
{
	my ($node, $database) = @_;

	$database //= 'postgres';
	my $lsn = $node->safe_psql($database,
		q{SELECT lsn - CASE WHEN offset_ <= 40 THEN offset_ ELSE 0 END
		  FROM pg_current_wal_insert_lsn() AS lsn,
			   LATERAL (SELECT (lsn - '0/0') % current_setting('wal_block_size')::int) AS o(offset_)});
	wait_for_query($node, $database,
		"SELECT CASE WHEN published_lsn >= '$lsn' THEN 't'
				ELSE concat_ws(', ', state, published_lsn, last_error) END
		 FROM pg_stat_eventuate WHERE datname = '$database'");
	return;
}

# Until the publisher has had so many more messages acknowledged.
sub wait_for_more
{
	my ($node, $count) = @_;
	my $messages = stat_of($node, 'messages');
	wait_for_query($node, 'postgres',
		"SELECT CASE WHEN messages >= $messages + $count THEN 't' ELSE concat_ws(', ', state, messages, last_error) END FROM pg_stat_eventuate");
	return;
}

# One column or expression of the database's row in pg_stat_eventuate.
sub stat_of
{
	my ($node, $column, $database) = @_;

	$database //= 'postgres';
	return $node->safe_psql($database,
		"SELECT $column FROM pg_stat_eventuate WHERE datname = '$database'");
}

# The pid of a database's publisher, waited for.
sub publisher_pid
{
	my ($node, $database) = @_;

	$database //= 'postgres';
	return worker_pid($node, $database,
		"backend_type = 'eventuate publisher' AND datname = '$database'");
}

sub launcher_pid
{
	my ($node) = @_;

	return worker_pid($node, 'postgres', "backend_type = 'eventuate launcher'");
}

sub worker_pid
{
	my ($node, $database, $condition) = @_;

	return wait_until(
		"a process with $condition",
		sub {
			my $pid = ask($node, $database,
				"SELECT pid FROM pg_stat_activity WHERE $condition");
			return defined $pid && $pid =~ /^\d+$/ ? $pid : undef;
		});
}

# Until the server's log has a match behind POSITION (0); returns the end of
# the log.  log_position is the place to begin at for what is yet to come.
sub wait_for_log
{
	my ($node, $pattern, $position) = @_;

	return wait_until(
		"$pattern in the log",
		sub {
			my $log = slurp_file($node->logfile);
			$seen = substr($log, -500);
			return substr($log, $position || 0) =~ $pattern ? length $log : undef;
		});
}

sub log_position
{
	my ($node) = @_;
	return -s $node->logfile;
}

1;
