# Connections to Kafka are reset while answers are on their way.  Kafka has
# stored what was sent, the publisher does not know: it sends again, and Kafka
# drops what it has.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(proxied => 1);
my $node = new_node('main', kafka => $kafka->proxy, conf => "log_statement = none\n");
wait_for_state($node, 'postgres', 'streaming');
my $publisher = publisher_pid($node);
prepare_load($node);
my $load = start_load($node, 'reset');

my ($connections, $unanswered) = (0, 0);
while ($unanswered < 8)
{
	wait_until('a connection to reset',
		sub {
			my @hit = $kafka->proxy->reset($connections % 4);
			$connections += $hit[0];
			$unanswered += $hit[1];
			return $hit[0];
		});
	wait_caught_up($node);
}
stop_load($load);
wait_caught_up($node);
note("$connections connections were reset, $unanswered with an answer outstanding");
check_load($node, $kafka, 'reset', 'after resets', once => 1);
is(publisher_pid($node), $publisher, 'the publisher went on');

done_testing();
