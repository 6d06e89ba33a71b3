# Three brokers: leaders change under load, and there are too few of them.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(brokers => 3,
	conf => "controller.quorum.election.timeout.ms=500\n"
	  . "controller.quorum.election.backoff.max.ms=200\n"
	  . "controller.quorum.fetch.timeout.ms=1000\n"
	  . "replica.lag.time.max.ms=2000\n"
	  . "auto.leader.rebalance.enable=false\n");
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);
$kafka->create_topic('load', 4);
my $load = start_load($node, 'load');
my $pid = publisher_pid($node);
wait_for_more($node, 300);

sub leaders { my %partitions = $kafka->partitions('load'); return map { $partitions{$_}{leader} // -1 } sort keys %partitions; }

# A leader dies, with what it has not answered.
my ($victim) = leaders();
note('leaders: ' . join(' ', leaders()));
$kafka->node($victim)->kill;
wait_until('another leader', sub { my @leaders = leaders(); return @leaders == 4 && !grep { $_ == $victim || $_ < 0 } @leaders; });
wait_for_more($node, 300);
note('leaders: ' . join(' ', leaders()));
$kafka->node($victim)->start;
wait_for_more($node, 100);

# One leaves politely.
my ($next) = grep { $_ != $victim } leaders();
$kafka->node($next)->stop;
wait_for_more($node, 300);
$kafka->node($next)->start;
wait_for_more($node, 100);
is(publisher_pid($node), $pid, 'changes of leaders are no concern of the publisher');

# Two leave: the third may not take anything alone.
my ($last) = leaders();
my @others = grep { $_ != $last } 1 .. 3;
$kafka->node($_)->stop foreach @others;
wait_until('a refusal', sub { $kafka->node($last)->log_contents =~ /NotEnoughReplicas/ });
my $messages = stat_of($node, 'messages');
my ($sent, $start) = (load_sent($node, 'load'), time);
wait_until('five seconds', sub { time - $start > 5 });
my $rate = (load_sent($node, 'load') - $sent) / (time - $start);
cmp_ok($rate, '>=', 400 * 0.7, sprintf('senders do not notice: %d messages/s of 400', $rate));
cmp_ok(stat_of($node, 'messages') - $messages, '<=', 10, 'too few replicas acknowledge nothing');
wait_for_query($node, 'postgres', q{
	SELECT CASE WHEN state = 'waiting' AND last_error ~ 'partition [0-3] of topic "load" does not take its records; its leader, broker [1-3], ' THEN 't'
				ELSE concat_ws(', ', state, last_error) END FROM pg_stat_eventuate});
pass('the view names topic, partition and broker');
$_->launch_broker foreach map { $kafka->node($_) } @others;
wait_for_more($node, 100);

stop_load($load);
wait_caught_up($node);
wait_for_state($node, 'postgres', 'streaming');
is(publisher_pid($node), $pid, 'the publisher waited');
check_load($node, $kafka, 'load', 'three brokers');
done_testing();
