# How fast a backlog of committed one-row transactions reaches Kafka.
#
#	make bench BENCH=drain			ROWS=500000 ROUNDS=3 KAFKA=real|mock
#
# Prints messages/s, CPU of the publisher (all its threads) per message, and
# its peak RSS.  Everything shares one machine: compare only figures of one run.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $rows = $ENV{ROWS} || 500_000;
my $rounds = $ENV{ROUNDS} || 3;
my $kind = $ENV{KAFKA} || 'real';
my $kafka = $kind eq 'mock' ? mock_kafka() : real_kafka();
my $node = new_node('drain', kafka => $kafka,
	conf => "shared_buffers = 256MB\nmax_wal_size = 8GB\ncheckpoint_timeout = 1h\nlog_statement = none\nautovacuum = off\n");

sub cpu_of
{
	my ($pid) = @_;
	my @field = split ' ', (slurp_file("/proc/$pid/stat") =~ s/.*\) //sr);
	return ($field[11] + $field[12]) / 100;
}

sub rss_of
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+)/;
	return $kb / 1024;
}

my $payload = '{"note": "' . 'x' x 288 . '"}';
my $script = PostgreSQL::Test::Utils::tempdir() . '/send.sql';
open(my $file, '>', $script) or die;
print $file "\\set customer random(1, 1000)\n"
  . "SELECT eventuate_send('drain', '$payload', :customer\::text, '{\"event-type\": \"OrderCreated\", \"event-aggregate-type\": \"Order\"}');\n";
close $file;

wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('drain', 'warm up')});
wait_caught_up($node);

foreach my $round (1 .. $rounds)
{
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	$node->safe_psql('postgres', 'SELECT pg_stat_reset_eventuate()');
	$node->command_ok(
		[
			'pgbench', '-n', '-M', 'prepared', '-c', '8', '-j', '2',
			'-t', $rows / 8, '-f', $script, 'postgres'
		],
		"$rows transactions");

	$node->safe_psql('postgres', 'SELECT eventuate_resume()');
	wait_until('the first message',
		sub { stat_of($node, 'messages') > 0 });
	my $pid = publisher_pid($node);
	my ($start, $first, $cpu) = (time, stat_of($node, 'messages'), cpu_of($pid));
	wait_until('all messages', sub { stat_of($node, 'messages') >= $rows });
	my ($seconds, $messages) = (time - $start, $rows - $first);
	note(sprintf("%s Kafka, round %d: %d messages/s, %.2f us CPU a message, RSS %d MB",
			$kind, $round, $messages / $seconds,
			(cpu_of($pid) - $cpu) * 1e6 / $messages, rss_of($pid)));
}
done_testing();
