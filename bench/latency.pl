# From COMMIT's return to a consumer, beside a bare librdkafka producer, on an
# idle server and with 4000 other transactions a second beside it.
#
#	make bench BENCH=latency		RATE=200 COUNT=1000 ROUNDS=5 BESIDE=4000

use strict;
use warnings;

use lib 't', 'bench';
use Bench;
use Bench::Peers;

my $rate = $ENV{RATE} || 200;
my $count = $ENV{COUNT} || 1000;
my $beside = $ENV{BESIDE} // 4000;
my $rounds = rounds(5);
my ($kafka, $node) = bench_servers('latency', full => 1);
my $background = send_script('beside');

bench_topic($kafka, 'beside');

# Milliseconds of one way to send.
sub measure
{
	my ($how, $isolation) = @_;
	our $number;
	my $topic = 'latency_' . ++$number;

	bench_topic($kafka, $topic, 1);
	my ($out) = run_command('bench/latency', $node->connstr('postgres'), $kafka->brokers, $topic, $rate, $count, $how, $isolation // 'read_uncommitted');
	my %ms = $out =~ /(\w+)=([\d.]+)/g;
	return map { ("$_ ms" => $ms{$_}) } qw(p50 p95 p99);
}

# The same while others send.
sub measure_beside
{
	my (@how) = @_;
	my $pgbench = IPC::Run::start(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', 4, '-R', $beside, '-T', 600, '-f', $background, $node->connstr('postgres') ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
	my @ms = measure(@how);

	$pgbench->kill_kill;
	return @ms;
}

# The same by Debezium.
sub debezium
{
	my ($measure) = @_;

	return Bench::Peers::instead($node, sub { return $measure->('insert') }, 'pgoutput',
		sub { return Bench::Peers::debezium($node, $kafka, $_[0], %Bench::Peers::tuned) });
}

$node->safe_psql('postgres', 'CREATE PUBLICATION bench FOR TABLE eventuate.message');
foreach my $case ([ '', \&measure ], [ " beside $beside/s", \&measure_beside ])
{
	my ($name, $measure) = @$case;
	$measure->('bare') foreach 1 .. 2;		# the broker's virtual machine has to warm up
	my $values = compare("latency at $rate/s$name", $rounds,
		bare => sub { $measure->('bare') },
		eventuate_send => sub { $measure->('send') },
		INSERT => sub { $measure->('insert') },
		'eventuate_send, exactly once' => with_setting($node, 'eventuate.exactly_once = on', sub { $measure->('send', 'read_committed') }),
		'Debezium, tuned' => sub { debezium($measure) });
	ratios("latency at $rate/s$name", $values, $_, 'bare', 'eventuate_send', 'INSERT') foreach 'p50 ms', 'p99 ms';
}
done_testing();
