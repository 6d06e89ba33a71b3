# Errors after which an idempotent producer must not go on: the publisher
# starts afresh behind what is confirmed, nothing is lost, and order is kept.

use strict;
use warnings;

use lib 't';
use Eventuate;

# Kafka's numbers of requests.
use constant { PRODUCE => 0, INIT_PRODUCER_ID => 22 };

my $kafka = mock_kafka();

# The mock does not look at sequence numbers: it takes the request behind the
# one that it refuses, as no broker does.  So there is seldom one, and order is
# not looked at here.  Errors that a producer survives are librdkafka's business
# and rest on those numbers, too.
my $node = new_node('main', kafka => $kafka, properties => 'max.in.flight=1');
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);
$kafka->command('rtt 1 5');

# The name of an error, Kafka's number of it, how often it comes, and how many
# producers it ends at least: what ends one may be seen by others of its requests.
foreach my $case (
	[ 'OUT_OF_ORDER_SEQUENCE_NUMBER', 45, 1, 1 ],
	[ 'OUT_OF_ORDER_SEQUENCE_NUMBER', 45, 3, 2 ])
{
	my ($name, $code, $count, $fatal) = @$case;
	my $topic = "\L$name\E.$count";
	my $what = "$name x $count";
	my $pid = publisher_pid($node);
	my $position = log_position($node);
	my $load = start_load($node, $topic);

	published_more(100);
	$kafka->command('error ' . PRODUCE . " $code $count");
	wait_until("$fatal errors", sub { said($position) >= $fatal });
	published_more(200);
	stop_load($load);
	wait_caught_up($node);
	wait_for_state($node, 'postgres', 'streaming');
	check_load($node, $kafka, $topic, $what, unordered => 1);
	cmp_ok(said($position), '<=', $count, "$what: no other producer ends");
	isnt(publisher_pid($node), $pid, "$what: another process goes on");
	like(stat_of($node, 'last_error'), qr/^the Kafka producer cannot go on: .*$name/,
		"$what: last_error says why");
}

# Not allowed to be idempotent: nothing is sent in another way instead.
$kafka->command('error ' . INIT_PRODUCER_ID . ' 31 3');
my $position = log_position($node);
my $pid = publisher_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
wait_for_log($node, qr/the Kafka producer cannot go on: .*CLUSTER_AUTHORIZATION_FAILED/, $position);
my $load = start_load($node, 'unauthorised');
published_more(100);
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'unauthorised', 'without permission for a while', once => 1);

done_testing();

sub said
{
	my ($from) = @_;
	my $count = () = substr(slurp_file($node->logfile), $from) =~ /ERROR:  the Kafka producer cannot go on/g;
	return $count;
}

# Until so many more messages are acknowledged.
sub published_more
{
	my ($count) = @_;
	my $messages = stat_of($node, 'messages');
	wait_for_query($node, 'postgres',
		"SELECT CASE WHEN messages >= $messages + $count THEN 't' ELSE concat_ws(', ', state, messages, last_error) END FROM pg_stat_eventuate");
}
