# Failover slots: nothing reaches Kafka that the standbys of
# synchronized_standby_slots do not have.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $primary = new_node('primary', kafka => $kafka);
plan skip_all => 'failover slots came with PostgreSQL 17' unless copies_slots($primary);

wait_for_state($primary, 'postgres', 'streaming');
is($primary->safe_psql('postgres', q{SELECT failover FROM pg_replication_slots}), 't',
	'the slot is a failover slot');

$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('replica_slot')});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
my $conninfo = $primary->connstr('postgres') =~ s/'/''/gr;
$standby->append_conf('postgresql.conf', <<"END");
primary_conninfo = '$conninfo'
primary_slot_name = 'replica_slot'
hot_standby_feedback = on
sync_replication_slots = on
wal_receiver_status_interval = 1
END
$standby->start;
$primary->append_conf('postgresql.conf', "synchronized_standby_slots = 'replica_slot'");
$primary->reload;
wait_for_slot_copy($standby, $primary);

send_message('both have it');
is_deeply([ payloads(1) ], ['both have it'], 'what the standby has is published');

# The standby is frozen: nobody waits but the publisher.
my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill 'STOP', $receiver;
send_message('only the primary has it');
wait_for_state($primary, 'postgres', 'waiting');
is(stat_of($primary, 'last_error'),
	'standbys have not confirmed WAL that is flushed here: synchronized_standby_slots is "replica_slot"',
	'the view says who is waited for');
is_deeply([ payloads() ], ['both have it'], 'what the standby does not have is not published');

# Nor is it without a slot, from the table.
$primary->safe_psql('postgres', q{SELECT eventuate_pause()});
wait_for_state($primary, 'postgres', 'paused');
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate});
$primary->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_state($primary, 'postgres', 'recovering');
wait_until('the reason', sub { (stat_of($primary, 'last_error') // '') =~ /"replica_slot"/ });
is_deeply([ payloads() ], ['both have it'], 'nor from the table');

kill 'CONT', $receiver;
is_deeply([ distinct(payloads(2)) ], [ 'both have it', 'only the primary has it' ],
	'it is once the standby has it');
wait_for_state($primary, 'postgres', 'streaming');

# A failover while the primary has more than the standby.
wait_for_slot_copy($standby, $primary);
$standby->stop;
send_message('taken back');
wait_for_state($primary, 'postgres', 'waiting');
$primary->stop('immediate');
$standby->start;
$standby->promote;
$standby->safe_psql('postgres', q{SELECT eventuate_send('topic', 'after the failover', 'k')});
wait_caught_up($standby);
is_deeply([ distinct(payloads()) ],
	[ 'both have it', 'only the primary has it', 'after the failover' ],
	'what a failover takes back was never published, and publishing goes on');

done_testing();

sub send_message
{
	my ($payload) = @_;
	$primary->safe_psql('postgres', "SELECT eventuate_send('topic', '$payload', 'k')");
}

# What is on the topic, once there are so many.
sub payloads
{
	my ($count) = @_;
	return payloads_of(wait_for_records($kafka, 'topic', $count || 0));
}

sub distinct
{
	my %seen;
	return grep { !$seen{$_}++ } @_;
}
