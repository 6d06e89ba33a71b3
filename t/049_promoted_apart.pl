# Two standbys are promoted without knowing of each other, to the same timeline
# by number.  With eventuate.exactly_once, what Kafka keeps of the one must not
# hide what the other has to publish.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
$kafka->create_topic('topic', 1);
my $origin = new_node('origin', kafka => $kafka,
	conf => "eventuate.exactly_once = on\nautovacuum = off\nwal_keep_size = 1GB\n");
wait_for_state($origin, 'postgres', 'streaming');
send_payload($origin, 'origin');
wait_caught_up($origin);

# The first has a message more of the origin's than the second.
$origin->stop;
$origin->backup_fs_cold('second');
$origin->start;
send_payload($origin, 'late');
wait_caught_up($origin);
$origin->stop;
$origin->backup_fs_cold('first');
my $first = promoted('first');
my $second = promoted('second');
$second->stop;

# The first publishes, and has more to publish when it is stopped.
allow($first, '*');
wait_for_state($first, 'postgres', 'streaming');
send_payload($first, 'first');
wait_caught_up($first);
allow($first, '');
send_payload($first, 'to be hidden');
move_on($first, 20);
$first->stop;

# The second publishes as well, from further on.
$second->start;
move_on($second, 10);
allow($second, '*');
wait_for_state($second, 'postgres', 'streaming');
send_payload($second, 'second');
wait_caught_up($second);
my $published = stat_of($second, 'published_lsn');
$second->stop;

# The first has WAL up to there, and the slot where it was.
$first->start;
is($first->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() > '$published'"), 't', 'the one has WAL up to where the other has published');
my $log = log_position($first);
allow($first, '*');
wait_for_state($first, 'postgres', 'streaming');
wait_caught_up($first);
like(substr(slurp_file($first->logfile), $log), qr/does not count here: it is of another timeline 2/, 'a position of another timeline with this number is ignored');
is(scalar(grep { $_ eq 'to be hidden' } payloads()), 1, 'and hides nothing');

done_testing();

# A server of the origin's files, promoted; it publishes nothing yet.
sub promoted
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($origin, $name);
	$node->append_conf('postgresql.conf', "eventuate.databases = ''");
	$node->set_standby_mode;
	$node->start;
	$node->promote;
	return $node;
}

sub allow
{
	my ($node, $databases) = @_;

	$node->append_conf('postgresql.conf', "eventuate.databases = '$databases'");
	$node->reload;
	wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate publisher'}, $databases ? 1 : 0);
	return;
}

# So many segments of WAL.
sub move_on
{
	my ($node, $segments) = @_;

	foreach (1 .. $segments)
	{
		$node->safe_psql('postgres', $_)
		  foreach q{SELECT pg_logical_emit_message(false, 'filler', '')}, 'SELECT pg_switch_wal()';
	}
	return;
}

sub payloads
{
	return payloads_of(consume($kafka, 'topic', properties => ['isolation.level=read_committed']));
}
