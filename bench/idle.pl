# What a publisher costs that has nothing to do: how often its threads wake up,
# and the CPU.
#
#	make bench BENCH=idle			SECONDS_EACH=20 ROUNDS=3
#
# The publisher itself looks every 100 ms whether there is WAL that nobody woke
# it for: 10 wake-ups a second are that.

use strict;
use warnings;

use lib 't', 'bench';
use Bench;
use Time::HiRes qw(sleep);

my $seconds = $ENV{SECONDS_EACH} || 20;
my ($kafka, $node) = bench_servers('idle');
my $pid = publisher_pid($node);

# Until librdkafka has settled, too.
sleep(5);
compare('idle', rounds(3), eventuate => sub {
		my ($switches, $cpu) = (switches_of($pid), cpu_of($pid));
		sleep($seconds);
		my ($after, $used) = (switches_of($pid), cpu_of($pid) - $cpu);
		my ($own) = grep { !/^rdk:/ } keys %$after;
		my $kafka_threads = 0;
		$kafka_threads += $after->{$_} - ($switches->{$_} // 0) foreach grep { /^rdk:/ } keys %$after;
		return (
			'wake-ups/s' => ($after->{$own} - $switches->{$own}) / $seconds,
			"wake-ups/s of librdkafka's threads" => $kafka_threads / $seconds,
			'CPU ms/s' => $used * 1000 / $seconds);
	});
done_testing();
