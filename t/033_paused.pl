# Whoever pauses may be about to lose the slot, by pg_upgrade say: everything
# published until then is remembered, and does not come again from the tables.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'before ' || i, 'k') FROM generate_series(1, 100) AS i});
wait_caught_up($node);
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'before 101', 'k')});
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
is($node->safe_psql('postgres',
		'SELECT count(*) FROM eventuate.message, eventuate.progress WHERE NOT pg_visible_in_snapshot(txid, snapshot)'),
	0, 'what was sent before the pause is known to be published');

# An open transaction is not, though its id is older.
my $open = $node->background_psql('postgres');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
$open->query_safe(q{BEGIN; SELECT eventuate_send('topic', 'open', 'k')});
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'resumed', 'k')});
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$open->query_safe('COMMIT');
$open->quit;
$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'after', 'k')});
wait_caught_up($node);
is_deeply([ payloads() ], [ (map { "before $_" } 1 .. 101), 'resumed', 'open', 'after' ],
	'the slot is lost while paused: everything comes, once');

# Without Kafka nothing is remembered that is not published.
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'without Kafka', 'k')});
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
$kafka->start;
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is((payloads())[-1], 'without Kafka', 'what was not published is not taken for that');

# An idle publisher that pauses writes nothing, but for once at its start: a
# predecessor may have gone too soon.
my $get_snapshot = 'SELECT snapshot FROM eventuate.progress';
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
my $snapshot = $node->safe_psql('postgres', $get_snapshot);
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_for_query($node, 'postgres', "SELECT ($get_snapshot)::text <> '$snapshot'");
$snapshot = $node->safe_psql('postgres', $get_snapshot);
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
is($node->safe_psql('postgres', $get_snapshot), $snapshot,
	'with nothing published there is nothing to remember');

done_testing();

sub payloads
{
	return payloads_of(consume($kafka, 'topic'));
}
