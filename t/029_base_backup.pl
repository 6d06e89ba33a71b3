# A server that is lost, without a standby, and replaced from a backup of the
# running one: by pg_basebackup, which brings no slot, and by a copy of the
# files with archive recovery, which brings one of another timeline.  Whatever
# was committed when the backup ended is published.

use strict;
use warnings;

use lib 't';
use Eventuate;
use PostgreSQL::Test::Utils ();

my $kafka = mock_kafka();
my $node = new_node('original', kafka => $kafka, conf => "wal_keep_size = 1GB\n");
my @expected;
wait_for_state($node, 'postgres', 'streaming');

foreach my $way ('basebackup', 'files')
{
	$node = replace($way, \&{"by_$way"});
	goes_on($node, $way);
}
like(slurp_file($node->logfile), qr/dropped replication slot "eventuate_\d+", which was made before/,
	'the slot of the copy is not gone on with');

done_testing();

# Backs up with messages of every kind on their way, loses the server and
# starts the backup as doc/operations.md says.
sub replace
{
	my ($way, $backup) = @_;
	my $old = $node;

	send_message($old, "$way: published");
	wait_caught_up($old);
	$kafka->stop;
	wait_for_state($old, 'postgres', 'waiting');
	send_message($old, "$way: not published");
	my $open = $old->background_psql('postgres');
	$open->query_safe('BEGIN');
	$open->query_safe("SELECT eventuate_send('topic', '$way: never committed', 'k')");
	$old->safe_psql('postgres', "BEGIN; SELECT eventuate_send('topic', '$way: prepared', 'k'); PREPARE TRANSACTION 'p'");
	my $new = $backup->($old, $way);
	$new->append_conf('postgresql.auto.conf', "eventuate.databases = ''");
	$old->stop('immediate');
	eval { $open->quit };
	$kafka->start;
	$new->start;
	$new->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'still in recovery';
	is($new->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate publisher'}),
		0, "$way: nothing is published before somebody says so");
	$new->safe_psql('postgres', 'ALTER SYSTEM RESET eventuate.databases');
	$new->reload;
	$new->safe_psql('postgres', q{COMMIT PREPARED 'p'});
	push @expected, "$way: prepared";
	return $new;
}

sub by_basebackup
{
	my ($old, $way) = @_;
	my $new = PostgreSQL::Test::Cluster->new("replaced_by_$way");

	$old->backup($way);
	$new->init_from_backup($old, $way);
	return $new;
}

# What WAL there is when the original dies is replayed.
sub by_files
{
	my ($old, $way) = @_;
	my $new = PostgreSQL::Test::Cluster->new("replaced_by_$way");
	my $copy = $old->backup_dir . "/$way";
	my $session = $old->background_psql('postgres');

	$session->query_safe(q{SELECT pg_backup_start('files', true)});
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $old->data_dir, $copy);
	unlink "$copy/postmaster.pid";
	send_message($old, "$way: after the copy of the files");
	my $label = $session->query_safe('SELECT labelfile FROM pg_backup_stop(false)');
	PostgreSQL::Test::Utils::append_to_file("$copy/backup_label", $label);
	$session->quit;
	$new->init_from_backup($old, $way);
	$new->append_conf('postgresql.conf', 'restore_command = ' . "'cp " . $old->data_dir . "/pg_wal/%f %p'");
	$new->set_recovery_mode;
	return $new;
}

# Everything committed arrives, in order of first appearance but for what was
# prepared; some may come again.
sub goes_on
{
	my ($server, $what) = @_;
	my %seen;

	wait_for_state($server, 'postgres', 'streaming');
	like(slurp_file($server->logfile), qr/published \d+ messages from the tables/, "$what: from the tables");
	send_message($server, "$what: streaming");
	wait_caught_up($server);
	is_deeply([ sort(grep { !$seen{$_}++ } payloads()) ], [ sort @expected ],
		"$what: nothing is lost, and nothing appears that was not committed");
	return;
}

sub send_message
{
	my ($server, $payload) = @_;
	$server->safe_psql('postgres', "SELECT eventuate_send('topic', '$payload', 'k')");
	push @expected, $payload;
	return;
}

sub payloads
{
	return payloads_of(consume($kafka, 'topic'));
}
