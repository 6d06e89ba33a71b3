# A standby takes over under load, twice: the first time the primary is stopped
# cleanly and comes back as a standby as it is, with what it has of its life as
# primary; the second time it crashes and comes back by pg_rewind.
#
# Before PostgreSQL 17 a new primary has no slot and publishes from the tables;
# from 17 on it goes on with the slot that it had copied.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $kafka = real_kafka();
$kafka->create_topic('load', 4);
$kafka->create_topic('first', 1);
my $one = new_node('one', kafka => $kafka, conf => "log_statement = none\n");
my $copies_slots = copies_slots($one);
my $slots = q{SELECT count(*) FROM pg_replication_slots WHERE plugin = 'eventuate'};
my $firsts = 0;

wait_for_state($one, 'postgres', 'streaming');
prepare_load($one);
$one->backup('base');
my $two = PostgreSQL::Test::Cluster->new('two');
$two->init_from_backup($one, 'base', has_streaming => 1);
follow($two, $one);

my $load = load_on($one);
wait_for_slot_copy($two, $one);
$one->stop('fast');
take_over($two, $load, 'switchover');

$load = load_on($two);
my $log = log_position($one);
follow($one, $two);
wait_for_log($one, qr/dropped replication slot "eventuate_\d+"/, $log);
is($one->safe_psql('postgres', $copies_slots ? "$slots AND NOT synced" : $slots),
	0, 'the old primary has dropped its own slot');
wait_for_slot_copy($one, $two);
is($one->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'eventuate%'}),
	0, 'and publishes nothing');
my $sent = load_sent($two, 'load');
wait_until('more load', sub { load_sent($two, 'load') > $sent + 500 });
$two->stop('immediate');
take_over($one, $load, 'crash');

# pg_rewind brings the other server's configuration.
$load = load_on($one);
my $conf = slurp_file($two->data_dir . '/postgresql.conf');
PostgreSQL::Test::Utils::system_or_bail('pg_rewind', '--target-pgdata', $two->data_dir,
	'--source-server', $one->connstr('postgres'));
unlink $two->data_dir . '/postgresql.conf', $two->data_dir . '/postgresql.auto.conf';
$two->append_conf('postgresql.auto.conf', '');
$two->append_conf('postgresql.conf', $conf);
follow($two, $one);
wait_for_slot_copy($two, $one);
stop_load($load);
wait_caught_up($one);
check_load($one, $kafka, 'load', 'both servers are back');

done_testing();

# Load that has begun.
sub load_on
{
	my ($primary) = @_;
	my $before = load_sent($primary, 'load');
	my $started = start_load($primary, 'load', rate => 300);

	wait_until('load', sub { load_sent($primary, 'load') > $before + 500 });
	return $started;
}

# Promotes a standby whose primary is gone and checks what its clients see.
sub take_over
{
	my ($standby, $broken_load, $what) = @_;
	my $position = log_position($standby);
	my $start = time;

	$standby->promote;
	my $promoted = time - $start;
	$standby->safe_psql('postgres', q{SELECT eventuate_send('first', 'x', 'k')});
	wait_for_records($kafka, 'first', ++$firsts);
	diag(sprintf '%s: promoted in %.1f s, a commit seen by a consumer %.1f s after the order to promote',
		$what, $promoted, time - $start);
	$broken_load->{run}->kill_kill;
	# Up to 15 pg_rewind does not see a new timeline before.
	$standby->safe_psql('postgres', 'CHECKPOINT');

	wait_caught_up($standby);
	check_load($standby, $kafka, 'load', $what);
	my $said = substr(slurp_file($standby->logfile), $position);
	if ($copies_slots)
	{
		unlike($said, qr/messages from the tables|cannot be used/, "$what: the copied slot is gone on with");
	}
	else
	{
		like($said, qr/published \d+ messages from the tables/, "$what: published from the tables");
	}
	return;
}
