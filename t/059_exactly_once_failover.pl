# eventuate.exactly_once, and another server takes over.  Kafka keeps a position
# of a timeline; on another one it counts as far as that is part of it.
#
# Before PostgreSQL 17 a new primary has no slot: messages come from the tables,
# at least once, and the log says how many.  From 17 on there is a copy of the
# slot, which may be old: Kafka's position says where to go on.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
$kafka->create_topic('load', 4);
$kafka->create_topic('topic', 1);
my $one = new_node('one', kafka => $kafka,
	conf => "eventuate.exactly_once = on\nlog_statement = none\nautovacuum = off\nwal_keep_size = 1GB\n");
my $copies_slots = copies_slots($one);

wait_for_state($one, 'postgres', 'streaming');
prepare_load($one);
my $two = standby('two', $one);

# Under load, by a synchronous standby, whose copy of the slot is old.
my $load = start_load($one, 'load', rate => 300);
wait_until('load', sub { load_sent($one, 'load') > 1000 });
$one->stop('immediate');
my $log = log_position($two);
$two->promote;
$load->{run}->kill_kill;
send_payload($two, 'taken over');
wait_caught_up($two);
my $said = said($two, $log);
if ($copies_slots)
{
	check_load($two, $kafka, 'load', 'failover', once => 1);
	like($said, qr/publishing goes on from .*, as Kafka knows/, 'by the position that Kafka keeps');
}
else
{
	my $repeated = check_load($two, $kafka, 'load', 'failover');
	my ($count) = $said =~ /published (\d+) messages from the tables/;
	cmp_ok($repeated, '<=', $count // -1, 'what came again came from the tables, as the log says');
}
is_deeply([ payloads() ], ['taken over'], 'and publishing goes on');

# What the standby does not have is on Kafka, far ahead of where it takes over;
# and there are two new timelines until something is published.
my $three = standby('three', $two, synchronous => 0);
send_payload($two, 'before the switch');
$two->wait_for_catchup($three, 'replay', $two->lsn('insert'));
$three->stop;
foreach (1 .. 4)
{
	$two->safe_psql('postgres', $_)
	  foreach q{SELECT pg_logical_emit_message(false, 'filler', '')}, 'SELECT pg_switch_wal()';
}
send_payload($two, 'taken back');
wait_caught_up($two);
my $published = stat_of($two, 'published_lsn');
$two->stop('immediate');
$three->append_conf('postgresql.conf', "eventuate.databases = ''\nprimary_conninfo = ''\n");
foreach my $timeline (3, 4)
{
	$three->start;
	$three->promote;
	send_payload($three, "kept on timeline $timeline");
	last if $timeline == 4;
	$three->stop;
	$three->set_standby_mode;
}
is($three->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() < '$published'"), 't',
	'the new timelines have not come to where the old one was published');
$log = log_position($three);
$three->append_conf('postgresql.conf', q{eventuate.databases = '*'});
$three->reload;
wait_for_state($three, 'postgres', 'streaming');
wait_caught_up($three);
my @expected = ('before the switch', 'taken back', 'kept on timeline 3', 'kept on timeline 4');
if ($copies_slots)
{
	my ($left_at) = slurp_file($three->data_dir . '/pg_wal/00000004.history') =~ m{^2\t(\S+)}m;
	like(said($three, $log), qr{publishing goes on from \Q$left_at\E, as Kafka knows},
		'the position counts up to where its timeline was left');
	is_deeply([ payloads() ], [ 'taken over', @expected ], 'what is published behind that does not hide what is not');
}
else
{
	my %seen = ('taken over' => 1);
	is_deeply([ grep { !$seen{$_}++ } payloads() ], \@expected, 'nothing is lost');
}

# The first server again, as primary of its own timeline.
$three->stop;
$log = log_position($one);
$one->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$one->start;
send_payload($one, 'on another branch');
wait_for_state($one, 'postgres', 'streaming');
wait_caught_up($one);
like(said($one, $log), qr/does not count here: timeline 4 is not in the history of this server/,
	'the position of another branch is ignored');
is((payloads())[-1], 'on another branch', 'and hides nothing');

done_testing();

# A standby; where it copies slots its copy becomes old.
sub standby
{
	my ($name, $primary, %options) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$primary->backup($name);
	$standby->init_from_backup($primary, $name, has_streaming => 1);
	follow($standby, $primary, %options);
	wait_for_slot_copy($standby, $primary);
	if ($copies_slots)
	{
		$standby->append_conf('postgresql.conf', 'sync_replication_slots = off');
		$standby->reload;
		wait_for_query($standby, 'postgres', 'SHOW sync_replication_slots', 'off');
	}
	return $standby;
}

sub payloads
{
	return payloads_of(consume($kafka, 'topic', properties => ['isolation.level=read_committed']));
}

sub said
{
	my ($node, $position) = @_;
	return substr(slurp_file($node->logfile), $position);
}
