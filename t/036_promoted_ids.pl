# A standby whose clock is a day behind its primary's: once promoted it gives
# ids that ascend from those it has replayed.

use strict;
use warnings;

use lib 't';
use Eventuate;

my ($libfaketime) = glob '/usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1';
die "libfaketime is missing: script/dependencies test\n" unless $libfaketime;

my $kafka = mock_kafka();
my $primary = new_node('primary', kafka => $kafka);
wait_for_state($primary, 'postgres', 'streaming');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
# librdkafka's threads do not start under every libfaketime; ids need no Kafka.
$standby->append_conf('postgresql.conf', "eventuate.kafka = ''");
{
	local $ENV{LD_PRELOAD} = $libfaketime;
	local $ENV{FAKETIME} = '-1d';
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	$standby->start;
}
cmp_ok($standby->safe_psql('postgres', q{SELECT now() < (pg_control_checkpoint()).checkpoint_time}), 'eq', 't',
	'the clock of the standby is behind');

# The last id is later than the checkpoint that the standby began at, from which
# its ids would ascend anyhow, by more than the second that it is rounded up to.
wait_for_query($primary, 'postgres', sprintf(q{SELECT clock_timestamp() > '%s'::timestamptz + interval '2 seconds'},
	$standby->safe_psql('postgres', 'SELECT checkpoint_time FROM pg_control_checkpoint()')));
my $last = $primary->safe_psql('postgres', q{SELECT eventuate_send('topic', 'by the primary', 'k')});
wait_caught_up($primary);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
$primary->stop('immediate');
$standby->promote;
wait_for_state($standby, 'postgres', 'not configured');
my $next = $standby->safe_psql('postgres', q{SELECT eventuate_send('topic', 'by the standby', 'k')});
cmp_ok($next, 'gt', $last, 'ids ascend over the failover');

done_testing();
