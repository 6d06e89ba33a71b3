# Topics change under load: more partitions, deleted, made again.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(conf => "auto.create.topics.enable=false\n");
my $node = new_node('main', kafka => $kafka, properties => q{topic.metadata.refresh.interval.ms=500},
	conf => "max_connections = 30\n");
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

sub topic_command
{
	$kafka->java('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $kafka->brokers, @_);
}

# ---------------------------------------------------------------------
# More partitions.  A broker that is just making one may refuse a request and
# take the next: the first is not lost, but it may come behind.
# ---------------------------------------------------------------------
$kafka->create_topic('load', 2);
my $pid = publisher_pid($node);
my $load = start_load($node, 'load', clients => 12);
wait_for_more($node, 200);
topic_command('--alter', '--topic', 'load', '--partitions', 12);
wait_until('records on a new partition', sub { grep { consume($kafka, 'load', partition => $_) } 2 .. 11 });
wait_for_more($node, 200);
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'load', 'partitions are added', once => 1, unordered => 1);
is(publisher_pid($node), $pid, 'the publisher goes on');

# ---------------------------------------------------------------------
# Deleted and made again.  What was acknowledged before went with the topic;
# the rest waits, and what has come back goes before what was behind it; on
# partitions that are new only with one request at a time.
# ---------------------------------------------------------------------
$node->append_conf('postgresql.conf',
	"eventuate.kafka = 'bootstrap.servers=" . $kafka->brokers . " topic.metadata.refresh.interval.ms=500 max.in.flight=1'");
$node->reload;
wait_for_query($node, 'postgres', "SELECT pid <> $pid AND state = 'streaming' FROM pg_stat_eventuate WHERE datname = 'postgres'");
foreach my $case ([ 'smaller', 12, 2 ], [ 'larger', 2, 12 ])
{
	my ($topic, $before, $after) = @$case;

	$kafka->create_topic($topic, $before);
	$load = start_load($node, $topic, clients => 12);
	wait_for_more($node, 200);
	topic_command('--delete', '--topic', $topic);
	my $from = $node->safe_psql('postgres', q{SELECT nextval('load_numbers')});
	$kafka->create_topic($topic, $after);
	note("$topic is back: " . stat_of($node, q{concat_ws(', ', state, in_flight, last_error)}));
	stop_load($load);
	wait_caught_up($node);
	check_load($node, $kafka, $topic, "made again with $after partitions instead of $before", from => $from);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 0, 'no message is a dead letter');
}
done_testing();
