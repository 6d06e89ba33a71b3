# Kafka is away for long under load: senders do not notice, memory does not
# grow, and when it is back everything arrives.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $queue_kb = 4096;
my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	conf => "eventuate.queue_size = ${queue_kb}kB\nsynchronous_commit = off\nautovacuum = off\n");
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

sub memory
{
	my ($what) = @_;
	my ($kb) = slurp_file('/proc/' . publisher_pid($node) . '/status') =~ /^$what:\s+(\d+) kB/m or die "no $what";
	return $kb;
}

# Messages a second that clients send who do nothing else.  Each time they do
# it is to another topic: the mock keeps 5 MB of a partition, and each client has
# one of its own; of 32 two would share one.
my @topics;

sub new_topic
{
	push @topics, 'load' . @topics;
	$kafka->create_topic($topics[-1], 48);
	return $topics[-1];
}

sub rate
{
	my ($topic, $seconds) = @_;
	my $start = time;
	my $load = start_load($node, $topic, rate => 'full', seconds => $seconds, clients => 8);
	$load->{run}->finish or die "the load failed: $load->{err}\n";
	my $took = time - $start;
	return load_sent($node, $topic) / $took;
}

my $pid = publisher_pid($node);
rate(new_topic(), 1);
wait_caught_up($node);
my $before = memory('VmRSS');

# In turns, since the machine has other things to do as well.
my (@up, @down);
foreach my $round (1 .. 3)
{
	push @up, rate(new_topic(), 2);
	wait_caught_up($node);
	my $topic = new_topic();
	new_topic() if $round == 3;
	$kafka->stop;
	wait_for_state($node, 'postgres', 'waiting');
	push @down, rate($topic, 2);
	last if $round == 3;
	$kafka->start;
	wait_caught_up($node);
}
note('messages/s, Kafka there: ' . join(' ', map { int } @up));
note('messages/s, Kafka away:  ' . join(' ', map { int } @down));
my $ratio = median(@down) / median(@up);
note(sprintf('away / there, of the medians: %.2f', $ratio));
cmp_ok($ratio, '>=', 0.7, 'senders do not notice that Kafka is away');

# Once the queue is full, nothing grows but WAL.
my $last = 0;
wait_until('a full queue', sub {
	$Eventuate::seen = stat_of($node, 'in_flight');
	return 1 if $Eventuate::seen >= $queue_kb * 1024 / 1000 && $Eventuate::seen == $last;
	$last = $Eventuate::seen;
	rate($topics[-1], 1);
	return 0;
});
my $full = memory('VmRSS');
my $load = start_load($node, $topics[-1], rate => 1000);
wait_until('some more messages', sub { load_sent($node, $topics[-1]) > 2_000 });
my $in_flight = stat_of($node, 'in_flight');
my $sent = load_sent($node, $topics[-1]);
wait_until('more messages', sub { load_sent($node, $topics[-1]) > $sent + 8_000 });
stop_load($load);
my $later = memory('VmRSS');
note("kB: $before before, $full when the queue is full, $later later; in flight $in_flight, lag " . stat_of($node, 'lag_bytes'));
cmp_ok($full - $before, '<=', 4 * $queue_kb, 'the queue is bounded');
cmp_ok($later - $full, '<=', 1024, 'and then nothing grows');
is(stat_of($node, 'in_flight'), $in_flight, 'nor is more in flight');
is(stat_of($node, 'state'), 'waiting', 'all the while it waits');

$kafka->start;
wait_caught_up($node);
wait_for_state($node, 'postgres', 'streaming');
cmp_ok(memory('VmHWM') - $before, '<=', 4 * $queue_kb, 'catching up needs no more');
is(publisher_pid($node), $pid, 'the publisher is the same all the time');
check_load($node, $kafka, $_, $_) foreach @topics;

done_testing();

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}
