# What transactions cost the publisher that have nothing for it, in its own
# database and in another.
#
#	make bench BENCH=foreign		TRANSACTIONS=100000 ROUNDS=3
#
# Of pgbench's own kind: three UPDATEs and an INSERT.

use strict;
use warnings;

use lib 't', 'bench';
use Bench;

my $transactions = $ENV{TRANSACTIONS} || 100_000;
my ($kafka, $node) = bench_servers('foreign');

$node->safe_psql('postgres', 'CREATE DATABASE other');
run_command('pgbench', '-i', '-q', '-s', 10, $node->connstr($_)) foreach qw(postgres other);
wait_caught_up($node);

# CPU seconds of a publisher that begins and catches up.
sub resumed
{
	$node->safe_psql('postgres', 'SELECT eventuate_resume()');
	wait_for_state($node, 'postgres', 'streaming');
	wait_caught_up($node);
	return cpu_of(publisher_pid($node));
}

sub measure
{
	my ($database) = @_;

	# So that it begins no further back than now.
	$node->safe_psql('postgres', 'CHECKPOINT');
	wait_caught_up($node);
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	{
		local $ENV{PGOPTIONS} = '-c synchronous_commit=off';
		run_command('pgbench', '-n', '-M', 'prepared', '-c', 4, '-j', 2, '-t', $transactions / 4, $node->connstr($database));
	}
	# Less what it costs a publisher to begin.
	my $used = resumed();
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	return ('CPU us a transaction' => ($used - resumed()) * 1e6 / $transactions);
}

compare('foreign WAL', rounds(3),
	'the same database' => sub { return measure('postgres') },
	'another database' => sub { return measure('other') });
done_testing();
