# From COMMIT's return to a consumer, beside a bare librdkafka producer.
#
#	make bench BENCH=latency		RATE=200 COUNT=2000 ROUNDS=3
#
# One machine holds all parts: compare only figures of one run.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $rate = $ENV{RATE} || 200;
my $count = $ENV{COUNT} || 2000;
my $kafka = real_kafka();
my $node = new_node('latency', kafka => $kafka, conf => "log_statement = none\nfsync = on\n");
wait_for_state($node, 'postgres', 'streaming');

foreach my $round (1 .. $ENV{ROUNDS} || 3)
{
	foreach my $mode (qw(bare send insert))
	{
		my $topic = "latency_${mode}_$round";
		$kafka->create_topic($topic, 1);
		my ($out, $err) = ('', '');
		ok(IPC::Run::run(
				[ 'bench/latency', $node->connstr('postgres'), $kafka->brokers, $topic, $rate, $count, $mode ],
				'>', \$out, '2>', \$err), "$mode, round $round") or note($err);
		note($out);
	}
}
done_testing();
