# A broker that lets a client write no faster than it likes, that forgets the
# client, and one that cannot write.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $queue_kb = 1024;
my $kafka = real_kafka(
	conf => "producer.id.expiration.ms=1000\n"
	  . "producer.id.expiration.check.interval.ms=200\n"
	  . "log.index.size.max.bytes=100000\n");
my $node = new_node('main', kafka => $kafka,
	conf => "eventuate.queue_size = ${queue_kb}kB\n");
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);
$kafka->create_topic('load', 4);
my $pid = publisher_pid($node);

# ---------------------------------------------------------------------
# A quota, for the client.id that is ours by default
# ---------------------------------------------------------------------
my @client = ('--entity-type', 'clients', '--entity-name', 'eventuate-postgres');
$kafka->alter(@client, '--add-config', 'producer_byte_rate=200000');
my $load = start_load($node, 'load', rate => 500, bytes => 500);
wait_until('a queue that is full', sub {
	$Eventuate::seen = stat_of($node, 'in_flight');
	return $Eventuate::seen > $queue_kb * 1024 / 1000;
});
my $in_flight = 0;
my ($sent, $start) = (load_sent($node, 'load'), time);
wait_until('a few seconds', sub {
	my $now = stat_of($node, 'in_flight');
	$in_flight = $now if $now > $in_flight;
	return time - $start > 3;
});
my $rate = (load_sent($node, 'load') - $sent) / (time - $start);
cmp_ok($rate, '>=', 1000 * 0.7, sprintf('a quota does not slow senders down: %d messages/s of 1000', $rate));
cmp_ok($in_flight, '<=', $queue_kb * 1024 / 500, 'no more is in flight than the queue holds');
stop_load($load);
note('with a quota: ' . stat_of($node, q{concat_ws(', ', state, in_flight, lag_bytes, last_error)}));
isnt(stat_of($node, 'in_flight'), 0, 'the quota holds');
$kafka->alter(@client, '--delete-config', 'producer_byte_rate');
wait_caught_up($node);
check_load($node, $kafka, 'load', 'quota', once => 1);

# ---------------------------------------------------------------------
# A broker forgets producers that are silent for a while, a day by default
# ---------------------------------------------------------------------
$start = time;
wait_until('the broker to forget', sub { time - $start > 3 });
$sent = load_sent($node, 'load');
$load = start_load($node, 'load', bytes => 500);
wait_until('more messages', sub { load_sent($node, 'load') > $sent + 200 });
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'load', 'forgotten', once => 1);
is(publisher_pid($node), $pid, 'the publisher goes on');

# ---------------------------------------------------------------------
# A full disk: files may not grow any more, which is the same to the broker,
# an error when it writes.  Without another disk it gives up.
# ---------------------------------------------------------------------
my $limit = 0;
foreach my $log (glob "$kafka->{home}/data1/load-*/*.log")
{
	$limit = -s $log if -s $log > $limit;
}
$limit += 100_000;
system('prlimit', '--pid', $kafka->pid, "--fsize=$limit:$limit") == 0 or die 'no prlimit';
$load = start_load($node, 'load', bytes => 500, rate => 500);
wait_until('the end of the broker', sub { !$kafka->running });
wait_for_state($node, 'postgres', 'waiting');
like($kafka->log_contents, qr/File too large/, 'the broker could not write');
$sent = load_sent($node, 'load');
wait_until('more messages', sub { load_sent($node, 'load') > $sent + 1000 });
$kafka->kill;
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
stop_load($load);
wait_caught_up($node);
is(publisher_pid($node), $pid, 'the publisher has waited');
check_load($node, $kafka, 'load', 'full disk');

done_testing();
