# What it costs when Kafka refuses every message of a large transaction.
#
#	make bench BENCH=refused		ROWS=100000
#
# By the broker, which has to be asked for each (larger than the topic takes),
# and for a topic that it does not know.  Prints dead letters/s and the
# publisher's memory.  Everything shares one machine.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $rows = $ENV{ROWS} || 100_000;
my $kafka = real_kafka(conf => "auto.create.topics.enable=false\n");
my $node = new_node('refused', kafka => $kafka,
	properties => 'topic.metadata.propagation.max.ms=100',
	conf => "eventuate.refusal_grace = 0\nshared_buffers = 256MB\nmax_wal_size = 8GB\nlog_statement = none\n");
$kafka->create_topic('small', 1, 'max.message.bytes=300');
$kafka->create_topic('known', 1);
wait_for_state($node, 'postgres', 'streaming');

sub memory_of
{
	my ($pid, $what) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /$what:\s+(\d+)/;
	return $kb / 1024;
}

foreach my $topic ('small', 'unknown')
{
	my $pid = publisher_pid($node);
	my $rss = memory_of($pid, 'VmRSS');
	my $letters = stat_of($node, 'dead_letters');
	my $start = time;
	$node->safe_psql('postgres',
		"SELECT count(eventuate_send('$topic', i || repeat('x', 500), (i % 1000)::text)) FROM generate_series(1, $rows) AS i;
		 SELECT eventuate_send('known', 'behind it', 'k')");
	wait_until("dead letters of $topic", sub {
			$Eventuate::seen = stat_of($node, 'dead_letters');
			return $Eventuate::seen - $letters >= $rows;
		}, 3600);
	my $seconds = time - $start;
	wait_caught_up($node);
	is(publisher_pid($node), $pid, 'the same process');
	note(sprintf("%s: %d dead letters/s, publisher %d MB before, %d MB after, %d MB at most",
			$topic, $rows / $seconds, $rss, memory_of($pid, 'VmRSS'), memory_of($pid, 'VmHWM')));
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 2 * $rows, 'each is a dead letter');
is(scalar(consume($kafka, 'known')), 2, 'what is behind them arrives');
done_testing();
