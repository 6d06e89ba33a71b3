# What an application that saturates the server loses to whoever publishes
# beside it, and whether the publisher keeps up.
#
#	make bench BENCH=steady			SECONDS_EACH=5 ROUNDS=5 CLIENTS=16
#
# Transactions of one message, as many as the machine allows.  "nobody" is a
# publisher that is paused.

use strict;
use warnings;

use lib 't', 'bench';
use Bench;
use Bench::Peers;
use Time::HiRes qw(time);

my $seconds = $ENV{SECONDS_EACH} || 5;
my $clients = $ENV{CLIENTS} || 16;
my ($kafka, $node) = bench_servers('steady', full => 1);
my $script = send_script('steady');

bench_topic($kafka, 'steady');
$node->safe_psql('postgres', 'CREATE PUBLICATION bench FOR TABLE eventuate.message');

sub load
{
	return ('transactions/s' => pgbench($node, '-c', $clients, '-j', 2, '-T', $seconds, '-f', $script));
}

sub eventuate
{
	my $pid = publisher_pid($node);
	my $cpu = cpu_of($pid);
	my (undef, $rate) = load();
	my $start = time;

	wait_caught_up($node);
	return (
		'transactions/s' => $rate,
		's behind at the end' => time - $start,
		'CPU us a message' => (cpu_of($pid) - $cpu) * 1e6 / ($rate * $seconds));
}

# The broker's virtual machine compiles what it does often; to make it warm takes
# many requests, which there are most of when messages are not too many.
load();
pgbench($node, '-c', $clients, '-j', 2, '-R', 3500, '-T', 12, '-f', $script);
load();
wait_caught_up($node);

my $values = compare("saturated, $clients clients", rounds(5),
	nobody => sub { return Bench::Peers::instead($node, \&load) },
	eventuate => \&eventuate,
	'wal2json to kcat' => sub {
		return Bench::Peers::instead($node, \&load, 'wal2json',
			sub { return Bench::Peers::wal2json($node, $kafka, $_[0], 'steady') });
	},
	'Debezium, tuned' => sub {
		return Bench::Peers::instead($node, \&load, 'pgoutput',
			sub { return Bench::Peers::debezium($node, $kafka, $_[0], %Bench::Peers::tuned) });
	});
ratios("saturated, $clients clients", $values, 'transactions/s', 'nobody', grep { $_ ne 'nobody' } sort keys %$values);
done_testing();
