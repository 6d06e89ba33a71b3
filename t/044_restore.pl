# A copy of a server, restored as doc/operations.md says, publishes nothing
# until it is told to.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $other_kafka = mock_kafka();
my $original = new_node('original', kafka => $kafka);
wait_for_state($original, 'postgres', 'streaming');
send_payload($original, 'published');
wait_caught_up($original);
$original->backup('base');

# Of a base backup, with a Kafka of its own: what was there is left out.
my $clone = clone('clone', 'base');
$clone->safe_psql('postgres', 'SELECT eventuate_resume(skip_existing => true)');
publish($clone);
is_deeply([ payloads($other_kafka) ], ['clone: published'], 'a clone publishes what is new');
$clone->stop;

# Of the files, slot and all, in the place of the original.
$kafka->stop;
wait_for_state($original, 'postgres', 'waiting');
send_payload($original, 'unpublished');
$original->stop;
$original->backup_fs_cold('files');
$kafka->start;
my $successor = clone('successor', 'files');
wait_for_state($successor, 'postgres', 'stopped');
publish($successor);
is_deeply([ payloads($other_kafka) ],
	[ 'clone: published', 'unpublished', 'successor: silent', 'successor: published' ],
	'a successor publishes what the original did not');

is_deeply([ payloads($kafka) ], ['published'], 'nobody else has published for the original');
$original->start;
wait_for_state($original, 'postgres', 'streaming');
wait_caught_up($original);
is_deeply([ payloads($kafka) ], [ 'published', 'unpublished' ], 'which goes on as ever');

done_testing();

# A restored server that publishes nothing, although it has the original's
# configuration.
sub clone
{
	my ($name, $backup) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($original, $backup);
	$node->append_conf('postgresql.auto.conf', "eventuate.databases = ''");
	$node->start;
	wait_for_query($node, 'postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate launcher' AND wait_event = 'Extension'}, 1);
	send_payload($node, "$name: silent");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate publisher'}),
		0, "$name: has no publisher");
	return $node;
}

sub publish
{
	my ($node) = @_;

	$node->safe_psql('postgres', $_)
	  foreach 'ALTER SYSTEM SET eventuate.kafka = ' . "'bootstrap.servers=" . $other_kafka->brokers . "'",
	  'ALTER SYSTEM RESET eventuate.databases';
	$node->reload;
	wait_for_state($node, 'postgres', 'streaming');
	send_payload($node, $node->name . ': published');
	wait_caught_up($node);
}

sub payloads
{
	return payloads_of(consume($_[0], 'topic'));
}
