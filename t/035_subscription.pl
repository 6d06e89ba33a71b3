# Rows that a subscription brought into an outbox, and the loss of the slot:
# what is known to be published, or another's, is not published from the
# tables; our own messages all are.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $other = new_node('other', kafka => $kafka);
my $node = new_node('main', kafka => $kafka);
my $connection = $other->connstr('postgres') =~ s/'/''/gr;

wait_for_state($_, 'postgres', 'streaming') foreach $other, $node;
# Without the column txid: rows have that of the transaction that applies them.
$other->safe_psql('postgres', 'CREATE PUBLICATION outbox FOR TABLE eventuate.message (id, destination, headers, payload)');
$node->safe_psql('postgres', "CREATE SUBSCRIPTION outbox CONNECTION '$connection' PUBLICATION outbox WITH (copy_data = off)");
wait_for_query($node, 'postgres', q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel});

send_payload($other, "theirs $_") foreach 1 .. 3;
wait_for_query($node, 'postgres', q{SELECT count(*) FROM eventuate.message WHERE payload LIKE 'theirs%'}, 3);
send_payload($node, 'ours 1');
wait_caught_up($_) foreach $other, $node;

$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
send_payload($node, 'ours 2');
$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate');
send_payload($node, 'ours 3');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
send_payload($_, 'streaming') foreach $node, $other;
wait_for_query($node, 'postgres', q{SELECT count(*) FROM eventuate.message WHERE payload = 'streaming'}, 2);
wait_caught_up($_) foreach $other, $node;

is_deeply([ payloads() ],
	[ sort 'theirs 1', 'theirs 2', 'theirs 3', 'ours 1', 'ours 2', 'ours 3', 'streaming', 'streaming' ],
	'each comes once, from where it was sent');
$node->safe_psql('postgres', 'DROP SUBSCRIPTION outbox');

done_testing();

sub payloads
{
	my @payloads = payloads_of(consume($kafka, 'topic'));
	return sort @payloads;
}
