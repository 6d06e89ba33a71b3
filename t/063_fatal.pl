# Errors after which an idempotent producer must not go on: the publisher
# starts afresh behind what is confirmed, nothing is lost, and order is kept.
# And one that librdkafka takes for a success, which it need not be.

use strict;
use warnings;

use lib 't';
use Eventuate;

# Kafka's numbers of requests.
use constant { PRODUCE => 0, INIT_PRODUCER_ID => 22 };

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

# One message, with nothing else on its way, and load before and after it.
# The name of an error, Kafka's number of it, how often it comes, and how many
# producers it ends.
foreach my $case (
	[ 'OUT_OF_ORDER_SEQUENCE_NUMBER', 45, 1, 1 ],
	[ 'OUT_OF_ORDER_SEQUENCE_NUMBER', 45, 3, 3 ],
	[ 'DUPLICATE_SEQUENCE_NUMBER', 46, 1, 0 ],
	[ 'INVALID_PRODUCER_EPOCH', 47, 1, 0 ],
	[ 'UNKNOWN_PRODUCER_ID', 59, 1, 0 ])
{
	my ($name, $code, $count, $fatal) = @$case;
	my $topic = "\L$name\E.$count";
	my $what = "$name x $count";
	my $pid = publisher_pid($node);
	my $position = log_position($node);

	load($topic);
	$kafka->command('error ' . PRODUCE . " $code $count");
	$node->safe_psql('postgres',
		"SELECT eventuate_send('$topic', nextval('load_numbers')::text, 'client-0')");
	wait_until("$fatal errors", sub { said($position) >= $fatal });
	load($topic);
	check_load($node, $kafka, $topic, $what, once => 1);
	is(said($position), $fatal, "$what: $fatal producers could not go on");
	if ($fatal)
	{
		isnt(publisher_pid($node), $pid, "$what: another process goes on");
		like(stat_of($node, 'last_error'), qr/^the Kafka producer cannot go on: .*$name/,
			"$what: last_error says why");
	}
	else
	{
		is(publisher_pid($node), $pid, "$what: the same process goes on");
	}
}

# The same in the middle of load.  The mock does not look at sequence numbers:
# it takes the request behind the one that it refuses, as no broker does, so
# that order cannot be told.  A restart forgets how often it went wrong,
# and with that how long to wait.
$node->restart;
foreach my $count (1, 3)
{
	my $position = log_position($node);
	$kafka->command('rtt 1 5');
	my $load = start_load($node, "load.$count");
	wait_for_more($node, 100);
	$kafka->command('error ' . PRODUCE . " 45 $count");
	wait_until('an error', sub { said($position) >= 1 });
	wait_for_more($node, 200);
	stop_load($load);
	wait_caught_up($node);
	wait_for_state($node, 'postgres', 'streaming');
	cmp_ok(said($position), '<=', $count, 'no more producers end than errors came');
	check_load($node, $kafka, "load.$count", "under load x $count",
		unordered => 1);
}
$kafka->command('rtt 1 0');

$node->restart;

# Not allowed to be idempotent: nothing is sent in another way instead.
$kafka->command('error ' . INIT_PRODUCER_ID . ' 31 3');
my $position = log_position($node);
my $pid = publisher_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
wait_for_log($node, qr/the Kafka producer cannot go on: .*CLUSTER_AUTHORIZATION_FAILED/, $position);
my $load = start_load($node, 'unauthorised');
wait_for_more($node, 100);
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'unauthorised', 'without permission for a while', once => 1);

done_testing();

sub load
{
	my ($topic) = @_;
	my $load = start_load($node, $topic);
	wait_for_more($node, 100);
	stop_load($load);
	wait_caught_up($node);
}

sub said
{
	my ($from) = @_;
	my $count = () = substr(slurp_file($node->logfile), $from) =~ /ERROR:  the Kafka producer cannot go on/g;
	return $count;
}
