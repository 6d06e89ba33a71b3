# A topic that Kafka does not know is often a deployment under way: its
# messages are held for a while, in order; others flow.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(conf => "auto.create.topics.enable=false\n");
my $node = new_node('main', kafka => $kafka,
	properties => 'topic.metadata.propagation.max.ms=100 topic.metadata.refresh.interval.ms=500',
	conf => "eventuate.refusal_grace = 1h\n");
$kafka->create_topic('known', 1);
wait_for_state($node, 'postgres', 'streaming');

sub payloads { return map { $_->{value} =~ /"payload":"([^"]*)"/ } @_; }

$node->safe_psql('postgres', q{
	BEGIN;
	SELECT eventuate_send('late', '1', 'k');
	SELECT eventuate_send('known', 'a', 'k');
	COMMIT;
	SELECT eventuate_send('late', '2', 'k');
	SELECT eventuate_send('known', 'b', 'k')});
is_deeply([ payloads(wait_for_records($kafka, 'known', 2)) ], [qw(a b)], 'others flow');
wait_for_query($node, 'postgres', q{SELECT last_error LIKE '%does not know topic "late"%' FROM pg_stat_eventuate});
is(stat_of($node, 'state'), 'streaming', 'the view names the topic, and goes on');
$node->safe_psql('postgres', q{SELECT eventuate_send('late', '3', 'k'); SELECT eventuate_send('known', 'c', 'k')});
wait_for_records($kafka, 'known', 3);
is(stat_of($node, 'unconfirmed > 0'), 't', 'what is held holds back the slot');

# A restart forgets nothing.
$node->restart;
wait_for_query($node, 'postgres', q{SELECT last_error LIKE '%does not know topic "late"%' FROM pg_stat_eventuate});

$kafka->create_topic('late', 1);
is_deeply([ payloads(wait_for_records($kafka, 'late', 3)) ], [qw(1 2 3)],
	'when the topic comes, everything arrives in order');
wait_caught_up($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 0, 'and nothing is a dead letter');
is(stat_of($node, 'last_error'), '', 'nor is there an error any more');

# The grace ends.
$node->safe_psql('postgres', q{ALTER SYSTEM SET eventuate.refusal_grace = '1s'});
$node->reload;
$node->safe_psql('postgres', q{SELECT eventuate_send('never', i::text, 'k') FROM generate_series(1, 3) AS i; SELECT eventuate_send('known', 'd', 'k')});
wait_caught_up($node);
is($node->safe_psql('postgres', q{SELECT count(*), min(topic), max(topic), bool_and(error LIKE '%UNKNOWN_TOPIC%') FROM eventuate.dead_letter}),
	'3|never|never|t', 'after the grace they are dead letters');
is_deeply([ (payloads(consume($kafka, 'known')))[-1] ], ['d'], 'and publishing goes on');

done_testing();
