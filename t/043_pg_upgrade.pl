# pg_upgrade: its servers publish nothing; the new one goes on where the old
# one was, by what the tables know or, from PostgreSQL 17 on, by the slot.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('old', kafka => $kafka);
my $brings_slots = $node->pg_version >= 17;

wait_for_state($node, 'postgres', 'streaming');
send_message('published');
wait_until_known();
my @expected = ('published');

# A server that is stopped soon after does not write that down; the next time
# it does, though nothing is published then.
send_message('soon');
wait_caught_up($node);
$node->restart;
wait_until_known();
wait_for_query($node, 'postgres',
	'SELECT confirmed_flush_lsn >= pg_current_wal_flush_lsn() FROM pg_replication_slots');
push @expected, 'soon';

if ($brings_slots)
{
	$node = upgrade($node, 'with_slot');
	wait_for_state($node, 'postgres', 'streaming');
	send_message('by the slot');
	wait_caught_up($node);
	push @expected, 'by the slot';
	is_deeply([ payloads() ], \@expected, 'pg_upgrade brings the slot, publishing goes on');
	unlike(slurp_file($node->logfile), qr/from the tables/, 'and did so from the slot');
	wait_until_known();
}

# Messages wait.  pg_upgrade does not take a slot that has not passed them.
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
send_message('unpublished');
if ($brings_slots)
{
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	$node->safe_psql('postgres',
		q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin = 'eventuate'});
}
my $identifier = 'SELECT system_identifier FROM pg_control_system()';
my $before = $node->safe_psql('postgres', $identifier);
$node = upgrade($node, 'new');
isnt($node->safe_psql('postgres', $identifier), $before, 'the new server is another system');
$node->safe_psql('postgres', 'SELECT eventuate_resume()') if $brings_slots;
wait_for_state($node, 'postgres', 'streaming');
send_message('after');
wait_caught_up($node);
is_deeply([ payloads() ], [ @expected, 'unpublished', 'after' ],
	'what was published does not come again, what was not is not forgotten');

done_testing();

# Stops a server and starts another with its data.
sub upgrade
{
	my ($old, $name) = @_;
	my $new = new_node($name, kafka => $kafka, start => 0);

	$old->stop;
	$kafka->start;
	my $there = payloads();
	my ($done, $out) = pg_upgrade($old, $new);
	ok($done, "$name: pg_upgrade") or diag($out);
	is(scalar(payloads()), $there, "$name: nothing is published by pg_upgrade's servers");
	$new->start;
	return $new;
}

# Until what is published is written down.
sub wait_until_known
{
	wait_for_query($node, 'postgres',
		'SELECT bool_and(pg_visible_in_snapshot(txid, snapshot)) FROM eventuate.message, eventuate.progress');
	return;
}

sub send_message
{
	my ($payload) = @_;
	$node->safe_psql('postgres', "SELECT eventuate_send('topic', '$payload', 'k')");
}

sub payloads
{
	my @payloads = payloads_of(consume($kafka, 'topic'));
	return @payloads;
}
