# What is published from the tables while the slot is made is not published
# from the slot again.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "max_prepared_transactions = 10\n");
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');

# The slot is made in three steps; at each of them a transaction runs.
prepare_transaction($node, 'a');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'eventuate%'});
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
foreach my $step ([ 'a', 'b' ], [ 'b', 'c' ])
{
	my ($old, $new) = @$step;
	wait_until_awaited($node, $old);
	prepare_transaction($node, $new);
	commit_prepared($node, $old);
}
my $waits = eval { local $Eventuate::timeout = 4; wait_until_awaited($node, 'c'); 1 };
note($waits ? 'the slot waits for the third' : 'the slot does not wait for the third');
$node->safe_psql('postgres', "SELECT eventuate_send('overlap', '$_')") foreach 1 .. 20;
wait_for_records($kafka, 'overlap', 20);
commit_prepared($node, 'c');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is(scalar consume($kafka, 'overlap'), 20, 'each message is there once');
done_testing();
