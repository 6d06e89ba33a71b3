# What a Kafka costs that is far away, where messages come one upon the other:
# CPU of the publisher, and from COMMIT's return to a consumer that is near.
#
#	make bench BENCH=remote			DELAY=5 RATES="500 2000 5000" COUNT=600 ROUNDS=5
#
# What the publisher says to Kafka arrives DELAY ms later.  RATES are those of
# transactions beside the 200 a second that are looked at.

use strict;
use warnings;

use lib 't', 'bench';
use Bench;
use Time::HiRes qw(time);

my $delay = $ENV{DELAY} || 5;
my $count = $ENV{COUNT} || 600;
my ($kafka, $node) = bench_servers('remote', proxied => 1);
my $background = send_script('beside');

bench_topic($kafka, 'beside');

# The connections there are become slow: those of the topics used already.
sub lengthen
{
	my (@topics) = @_;

	$node->safe_psql('postgres', "SELECT eventuate_send('$_', '{}', i::text) FROM generate_series(1, 8) AS i") foreach @topics;
	wait_caught_up($node);
	$kafka->proxy->delay($delay);
	return;
}

sub measure
{
	my ($rate) = @_;
	our $number;
	my $topic = 'remote_' . ++$number;

	bench_topic($kafka, $topic, 1);
	lengthen($topic, 'beside');
	my $pgbench = IPC::Run::start(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', 4, '-R', $rate, '-T', 600, '-f', $background, $node->connstr('postgres') ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
	my $pid = publisher_pid($node);
	my ($cpu, $start) = (cpu_of($pid), time);
	my ($out) = run_command('bench/latency', $node->connstr('postgres'), $kafka->brokers, $topic, 200, $count, 'send', 'read_uncommitted');
	my %ms = $out =~ /(\w+)=([\d.]+)/g;

	$cpu = (cpu_of($pid) - $cpu) / (time - $start);
	$pgbench->kill_kill;
	$kafka->proxy->delay(0);
	wait_caught_up($node);
	return ((map { ("$_ ms" => $ms{$_}) } qw(p50 p99)), 'CPU, part of a core' => $cpu);
}

compare("Kafka $delay ms away", rounds(5), map { my $rate = $_; ("beside $rate/s" => sub { measure($rate) }) } split ' ', $ENV{RATES} || '500 2000 5000');
done_testing();
