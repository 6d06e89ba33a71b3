# The last round of recovery, on a real Kafka that falls silent in the middle
# of it: the publisher is killed, then Kafka.  The slot must not survive that,
# since what the round was to publish is not in it.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
$kafka->create_topic('last', 1);
my $node = new_node('main', kafka => $kafka, restart_after_crash => 1);
my $slots = 'SELECT count(*) FROM pg_replication_slots';

wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');

# What two prepared transactions send is seen by the last round only.
prepare_transaction($node, 'a');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_until_awaited($node, 'a');
prepare_transaction($node, 'b', q{SELECT eventuate_send('last', i::text, 'k') FROM generate_series(1, 500) AS i});
commit_prepared($node, 'a');
wait_until_awaited($node, 'b');
is($node->safe_psql('postgres', $slots), 1, 'a slot is being made');
$kafka->freeze;
commit_prepared($node, 'b');
wait_for_query($node, 'postgres', 'SELECT in_flight FROM pg_stat_eventuate', 500);

my $pid = publisher_pid($node);
kill 'KILL', $pid;
wait_until('another publisher', sub {
	my $now = Eventuate::ask($node, 'postgres', 'SELECT pid FROM pg_stat_eventuate');
	return defined $now && $now =~ /^\d+$/ && $now != $pid;
});
is($node->safe_psql('postgres', $slots), 0, 'the slot is gone with the publisher');
$kafka->kill;
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('last', '501', 'k')});
wait_caught_up($node);
my %seen;
is_deeply([ grep { !$seen{$_}++ } map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, 'last') ],
	[ 1 .. 501 ], 'nothing is lost, and order is kept');

done_testing();
