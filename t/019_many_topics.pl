# Whoever may send may name any topic, and as many as he likes: what is held for
# topics that Kafka does not know takes disk, not memory, and not without end.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(conf => "auto.create.topics.enable=false\n");
my $node = new_node('main', kafka => $kafka,
	properties => 'topic.metadata.propagation.max.ms=1 topic.metadata.refresh.interval.ms=500 topic.metadata.refresh.fast.interval.ms=10',
	conf => "eventuate.refusal_grace = 1h\ntemp_file_limit = '64kB'\n");
$kafka->create_topic('known', 1);
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]); }

my $pid = publisher_pid($node);

# Much for one topic, where sessions have no room for it.
run(q{SELECT count(eventuate_send('late', i::text, 'k')) FROM generate_series(1, 5000) AS i; SELECT eventuate_send('known', 'a', 'k')});
is_deeply([ payloads_of(wait_for_records($kafka, 'known', 1)) ], ['a'], 'others flow behind much that is held');
wait_for_query($node, 'postgres', 'SELECT unconfirmed FROM pg_stat_eventuate', 5001);
is(publisher_pid($node), $pid, 'which does not stop the publisher');
$kafka->create_topic('late', 1);
wait_caught_up($node);
is_deeply([ payloads_of(consume($kafka, 'late')) ], [ 1 .. 5000 ], 'and arrives when the topic comes');

# Little for many topics.
run(q{SELECT count(eventuate_send('topic-' || i, i::text, 'k')) FROM generate_series(1, 600) AS i; SELECT eventuate_send('known', 'b', 'k')});
wait_for_records($kafka, 'known', 2);
wait_for_query($node, 'postgres', 'SELECT count(*) FROM eventuate.dead_letter', 100);
wait_for_query($node, 'postgres', 'SELECT in_flight FROM pg_stat_eventuate', 500);
pass('of 500 topics messages are held, those of others are dead letters');
my $held = run(q{SELECT 'topic-' || min(i) FROM generate_series(1, 600) AS i WHERE NOT EXISTS (SELECT FROM eventuate.dead_letter WHERE topic = 'topic-' || i)});
$kafka->create_topic($held, 1);
is(scalar(wait_for_records($kafka, $held, 1)), 1, "$held comes, and gets what was held");
run(q{SELECT eventuate_send('topic-next', '', 'k')});
wait_for_query($node, 'postgres', q{SELECT last_error LIKE '%held%' FROM pg_stat_eventuate});

# The grace of those that were held ends, and there is room for others.
run(q{ALTER SYSTEM SET eventuate.refusal_grace = '1s'});
$node->reload;
wait_caught_up($node);
is(run('SELECT count(*) FROM eventuate.dead_letter'), 600, 'after the grace all are dead letters');
run(q{ALTER SYSTEM SET eventuate.refusal_grace = '20s'; SELECT pg_reload_conf()});
my $later = 0;
wait_until('room for one more', sub {
	$later++;
	run(q{SELECT eventuate_send('later', 'a', 'k')});
	return run(q{SELECT last_error LIKE '%"later"%' FROM pg_stat_eventuate}) eq 't';
});
$kafka->create_topic('later', 1);
wait_caught_up($node);
my $letters = run(q{SELECT count(*) FROM eventuate.dead_letter WHERE topic = 'later'});
cmp_ok($letters, '<', $later, 'and others get a grace again');
is(scalar(consume($kafka, 'later')), $later - $letters, 'which loses nothing');
$node->stop;

# librdkafka takes its time to tell that there is no such topic, for some a little
# longer than for others: nobody waits for that.
$node = new_node('patient', kafka => $kafka,
	properties => 'topic.metadata.propagation.max.ms=5000',
	conf => "eventuate.refusal_grace = 1h\n");
wait_for_state($node, 'postgres', 'streaming');
run("SELECT eventuate_send('single-$_', '', 'k')") foreach 1 .. 20;
wait_for_query($node, 'postgres', q{SELECT last_error LIKE '%held%' FROM pg_stat_eventuate});
run(q{SELECT count(eventuate_send('many-' || i, '', 'k')) FROM generate_series(1, 600) AS i});
wait_for_query($node, 'postgres', 'SELECT count(*) > 0 FROM eventuate.dead_letter');
run(q{SELECT eventuate_send('known', 'c', 'k')});
is((payloads_of(wait_for_records($kafka, 'known', 3)))[-1], 'c', 'others flow while many topics are found unknown');

done_testing();
