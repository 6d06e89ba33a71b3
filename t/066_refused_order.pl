# A batch that a broker refuses, for one record in it, while more waits behind:
# the others of the batch go before that.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]); }

# Messages by numbers, the first one large; they are on their way.
sub send_numbers
{
	my ($topic, $from, $to) = @_;
	run(qq{SELECT eventuate_produce('$topic', CASE WHEN i = 1 THEN repeat(md5('1'), 100) ELSE i::text END, 'k', partition => 0)
		FROM generate_series($from, $to) AS i});
	wait_for_query($node, 'postgres', "SELECT in_flight >= $to FROM pg_stat_eventuate");
	return;
}

# A batch of so many records is refused, with four more behind it.  "known": to
# which partitions the publisher has sent before.
sub check_refusal
{
	my ($topic, $batch, $known, $what) = @_;
	my $all = $batch + 4;

	$kafka->create_topic($topic, 2, 'max.message.bytes=2000');
	run("SELECT eventuate_produce('$topic', '0', 'k', partition => p) FROM unnest(ARRAY[$known]) AS p");
	wait_caught_up($node);
	$kafka->freeze;
	send_numbers($topic, 1, $batch);
	send_numbers($topic, $batch + 1, $all);
	$kafka->thaw;
	wait_caught_up($node);
	is_deeply([ grep { $_ != 0 } map { $_->{value} } consume($kafka, $topic, partition => 0) ], [ 2 .. $all ],
		"nothing overtakes what was refused for the sake of another, $what");
	is(run("SELECT count(*) FROM eventuate.dead_letter WHERE topic = '$topic'"), 1, 'which becomes a dead letter');
	return;
}

# Of a batch of that size librdkafka has only one on its way.
check_refusal('known', 8, '0, 1', 'on a partition that is known');

# Of small batches it has several, which a broker that does not know this
# publisher's records of a partition takes in any order; but not if there is one.
my $pid = publisher_pid($node);
$node->append_conf('postgresql.conf', "eventuate.kafka = 'bootstrap.servers=" . $kafka->brokers . " max.in.flight=1'");
$node->reload;
wait_until('another publisher', sub { publisher_pid($node) != $pid });
wait_for_state($node, 'postgres', 'streaming');
check_refusal('new', 2, '1', 'on a new partition with max.in.flight=1');

# While the queue is full, and the publisher has more in hand.  A compacted topic
# takes no record without a key.
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
$node->append_conf('postgresql.conf', "eventuate.kafka = 'bootstrap.servers=" . $kafka->brokers . "'\neventuate.queue_size = 1MB");
$node->restart;
wait_for_state($node, 'postgres', 'streaming');
$kafka->create_topic('full', 1, 'cleanup.policy=compact');
run(q{SELECT eventuate_produce('full', '0', 'k')});
wait_caught_up($node);
$kafka->freeze;
run(q{SELECT eventuate_produce('full', i || repeat(' ', 600), CASE WHEN i > 1 THEN 'k' END) FROM generate_series(1, 3000) AS i});
my $last = 0;
wait_until('a full queue', sub {
	$Eventuate::seen = stat_of($node, 'in_flight');
	return 1 if $Eventuate::seen > 1000 && $Eventuate::seen == $last;
	$last = $Eventuate::seen;
	return 0;
});
cmp_ok($last, '<', 3000, 'the queue is full');
$kafka->thaw;
wait_caught_up($node);
is_deeply([ map { $_->{value} + 0 } consume($kafka, 'full') ], [ 0, 2 .. 3000 ], 'nothing overtakes what was refused from a full queue');
is(run("SELECT count(*) FROM eventuate.dead_letter WHERE topic = 'full'"), 1, 'which becomes a dead letter');

done_testing();
