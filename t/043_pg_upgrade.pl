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
wait_for_query($node, 'postgres',
	'SELECT bool_and(pg_visible_in_snapshot(txid, snapshot)) FROM eventuate.message, eventuate.progress');
wait_for_query($node, 'postgres',
	'SELECT confirmed_flush_lsn >= pg_current_wal_flush_lsn() FROM pg_replication_slots');
my @expected = ('published');

if ($brings_slots)
{
	$node = upgrade($node, 'with_slot');
	wait_for_state($node, 'postgres', 'streaming');
	send_message('by the slot');
	wait_caught_up($node);
	is_deeply([ payloads() ], [ 'published', 'by the slot' ], 'pg_upgrade brings the slot, publishing goes on');
	unlike(slurp_file($node->logfile), qr/from the tables/, 'and did so from the slot');
	push @expected, 'by the slot';
	wait_for_query($node, 'postgres',
		'SELECT bool_and(pg_visible_in_snapshot(txid, snapshot)) FROM eventuate.message, eventuate.progress');
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
	my $bindir = $new->config_data('--bindir');

	$old->stop;
	$kafka->start;
	my $there = payloads();
	chdir_and_run($new->basedir, 'pg_upgrade', '-b', $bindir, '-B', $bindir,
		'-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port);
	is(scalar(payloads()), $there, "$name: nothing is published by pg_upgrade's servers");
	$new->start;
	return $new;
}

# Some files go to the current directory.
sub chdir_and_run
{
	my ($directory, @command) = @_;
	my ($out, $done) = ('', 0);

	$done = IPC::Run::run(\@command, '<', \undef, '>&', \$out, 'init', sub { chdir $directory or die; });
	die "$command[0] failed: $out\n" unless $done;
	return;
}

sub send_message
{
	my ($payload) = @_;
	$node->safe_psql('postgres', "SELECT eventuate_send('topic', '$payload', 'k')");
}

sub payloads
{
	my @payloads = map { $_->{value} =~ /"payload":"([^"]*)"/ ? $1 : $_->{value} } consume($kafka, 'topic');
	return @payloads;
}
