# The publisher dies while what it has sent is still on its way: Kafka gets it
# after the next publisher has begun.  With eventuate.exactly_once that is
# refused, or was never committed, and nothing comes twice.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(proxied => 1);
my $node = new_node('main', kafka => $kafka->proxy, restart_after_crash => 1,
	conf => "eventuate.exactly_once = on\nlog_statement = none\n");
$kafka->create_topic('load', 4);
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

foreach my $round (1 .. 3)
{
	my $sent = load_sent($node, 'load');
	my $load = start_load($node, 'load', rate => 300, messages => 20);
	wait_until('load', sub { load_sent($node, 'load') > $sent + 1000 });

	my $publisher = publisher_pid($node);
	$kafka->proxy->delay(1500);
	my ($connections, $bytes);
	wait_until('bytes that are on their way', sub { ($connections, $bytes) = $kafka->proxy->delay(1500); return $bytes > 1000 });
	kill 'KILL', $publisher;
	note("round $round: $bytes bytes were on their way");
	$load->{run}->kill_kill;
	wait_until('another publisher', sub {
		my $now = Eventuate::ask($node, 'postgres', q{SELECT pid FROM pg_stat_eventuate WHERE state = 'streaming'});
		return defined $now && $now =~ /^\d+$/ && $now != $publisher;
	});
	wait_caught_up($node);
	# Until all of it has arrived.
	wait_until('the end of old connections', sub { ($kafka->proxy->delay(0))[1] == 0 });
}
check_load($node, $kafka, 'load', 'what came late', once => 1);

done_testing();
