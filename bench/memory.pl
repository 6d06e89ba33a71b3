# The publisher's memory, at most, in one transaction of a million messages.
#
#	make bench BENCH=memory			ROWS=1000000 ROUNDS=3

use strict;
use warnings;

use lib 't', 'bench';
use Bench;

my $rows = $ENV{ROWS} || 1_000_000;
my ($kafka, $node) = bench_servers('memory');

bench_topic($kafka, 'memory');
my $script = send_script('memory', $rows);
compare("one transaction of $rows", rounds(3), eventuate => sub {
		# A new process, which has the whole transaction before it.
		$node->safe_psql('postgres', 'SELECT eventuate_pause()');
		wait_for_state($node, 'postgres', 'paused');
		pgbench($node, '-c', 1, '-t', 1, '-f', $script);
		$node->safe_psql('postgres', 'TRUNCATE eventuate.message');
		my ($seconds) = arrival_of($kafka, 'memory', $rows, sub { $node->safe_psql('postgres', 'SELECT eventuate_resume()') });
		wait_caught_up($node);
		return ('messages/s' => $rows / $seconds, 'MB' => peak_of(publisher_pid($node)));
	});
done_testing();
