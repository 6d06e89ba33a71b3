# eventuate_pause() and eventuate_resume(skip_existing => true) while messages are
# published from the tables: no round is begun, and what one that is under way
# remembers does not take the place of what is to be skipped.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]); }

sub send_message { return run("SELECT eventuate_produce('skipped', '$_[0]', 'k')"); }

# The slot is gone, and another has to wait for this transaction.
my $writer = $node->background_psql('postgres');
$writer->query_safe('BEGIN; SELECT pg_current_xact_id()');
run('SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
run('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
run('SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'recovering');
send_message('first');
wait_for_records($kafka, 'skipped', 1);

# What is committed together with a pause is not published before it ends.
run(q{BEGIN; SELECT eventuate_produce('skipped', 'paused', 'k'), eventuate_pause(); COMMIT});
wait_for_state($node, 'postgres', 'paused');
is(scalar(consume($kafka, 'skipped')), 1, 'a pause ends recovery between two rounds');
run('SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'recovering');
wait_for_records($kafka, 'skipped', 2);

# A round that waits for Kafka, and what it has not seen.
$kafka->freeze;
send_message('second');
wait_for_query($node, 'postgres', 'SELECT in_flight FROM pg_stat_eventuate', 1);
send_message('to be skipped');
my $pid = publisher_pid($node);
run('SELECT eventuate_resume(skip_existing => true)');
my $snapshot = run('SELECT snapshot FROM eventuate.progress');
$kafka->thaw;
wait_until('another publisher', sub { publisher_pid($node) != $pid });
wait_for_state($node, 'postgres', 'recovering');
is(run('SELECT snapshot FROM eventuate.progress'), $snapshot, 'what is to be skipped is remembered');
$writer->query_safe('ROLLBACK');
$writer->quit;
wait_for_state($node, 'postgres', 'streaming');
send_message('third');
wait_caught_up($node);
is_deeply([ map { $_->{value} } consume($kafka, 'skipped') ], [qw(first paused second third)], 'and skipped');

done_testing();
