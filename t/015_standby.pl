# Standbys publish nothing; a promoted one goes on by itself.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'eventuate%'};
my @expected;

# A standby made by a base backup: it has no slot.
my $first = new_node('first', kafka => $kafka);
wait_for_state($first, 'postgres', 'streaming');
send_message($first, "first $_") foreach 1 .. 3;
wait_caught_up($first);
$first->backup('base');
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($first, 'base', has_streaming => 1);
$second->append_conf('postgresql.conf', 'restart_after_crash = on');
$second->start;
send_message($first, 'with standby');
wait_caught_up($first);
$first->wait_for_catchup($second, 'replay', $first->lsn('insert'));
is($second->safe_psql('postgres', $workers), 0, 'a standby has no workers of ours');
is($second->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_eventuate'), 0, 'and says so');
my ($status, $out, $err) = $second->psql('postgres', q{SELECT eventuate_send('topic', 'x')});
like($err, qr/read-only|recovery/, 'nothing is sent on it');
is_deeply([ payloads() ], \@expected, 'and nothing comes from it');

# It has not forgotten its launcher when it has crashed.
my $receiver = $second->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill 'KILL', $receiver;
wait_for_query($second, 'postgres', "SELECT pid <> $receiver FROM pg_stat_wal_receiver");

# Committed, on the standby, not yet published when the primary goes.
$kafka->stop;
wait_for_state($first, 'postgres', 'waiting');
send_message($first, "before promotion $_") foreach 1 .. 3;
$first->wait_for_catchup($second, 'replay', $first->lsn('insert'));
$first->stop('immediate');
$second->promote;
send_message($second, 'promoted');
$kafka->start;
goes_on($second, 'promoted');

# A standby made from a copy of a stopped server.
$second->stop;
$second->backup_fs_cold('cold');
my $third = PostgreSQL::Test::Cluster->new('third');
$third->init_from_backup($second, 'cold', has_streaming => 1);
$second->start;
$third->start;
wait_for_log($third, qr/dropped replication slot "eventuate_\d+"/);
is($third->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0,
	'a standby drops the slot that it was copied with');
is($third->safe_psql('postgres', $workers), 0, 'and still has no workers of ours');
wait_for_state($second, 'postgres', 'streaming');
send_message($second, 'with copy');
wait_caught_up($second);
$kafka->stop;
wait_for_state($second, 'postgres', 'waiting');
send_message($second, 'before the second promotion');
$second->wait_for_catchup($third, 'replay', $second->lsn('insert'));
$second->stop('immediate');
$third->promote;
send_message($third, 'promoted from a copy');
$kafka->start;
goes_on($third, 'copied');

# Its own timeline's slot is gone on with.
$third->restart;
goes_on($third, 'restarted');
unlike(slurp_file($third->logfile), qr/cannot be used anymore/, 'a slot of its own is gone on with');

# A copy that is recovered without having been a standby still has the slot.
$third->stop;
$third->backup_fs_cold('recovered');
my $fourth = PostgreSQL::Test::Cluster->new('fourth');
$fourth->init_from_backup($third, 'recovered');
$fourth->append_conf('postgresql.conf', "hot_standby = off\nrestore_command = 'false'\n");
$fourth->set_recovery_mode;
$fourth->start;
goes_on($fourth, 'recovered');
like(slurp_file($fourth->logfile), qr/replication slot "eventuate_\d+" cannot be used anymore/,
	'a slot of another timeline is not gone on with');

done_testing();

# All that was ever committed arrives.  Some may come again: what is known to
# be published without a slot is not the newest.
sub goes_on
{
	my ($server, $what) = @_;
	my (%seen, @first);

	wait_for_state($server, 'postgres', 'streaming');
	send_message($server, "$what: streaming");
	wait_caught_up($server);
	is($server->safe_psql('postgres',
		q{SELECT active_pid = pid FROM pg_replication_slots NATURAL JOIN pg_stat_eventuate}),
		't', "$what: a publisher has a slot");
	is_deeply([ grep { !$seen{$_}++ } payloads() ], \@expected, "$what: nothing is lost, and order is kept");
	my $again = grep { $_ > 1 } values %seen;
	note("$what: $again came again");
}

sub send_message
{
	my ($server, $payload) = @_;
	$server->safe_psql('postgres', "SELECT eventuate_send('topic', '$payload', 'k')");
	push @expected, $payload;
}

sub payloads
{
	return payloads_of(consume($kafka, 'topic'));
}
