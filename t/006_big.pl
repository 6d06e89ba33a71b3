# A big transaction, and a broker that does not answer: memory stays bounded,
# senders do not wait, nothing is lost.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $kafka = real_kafka();

# A number of kB in the /proc entry of a process.
sub memory
{
	my ($pid, $what) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^$what:\s+(\d+) kB/m or die "no $what of $pid";
	return $kb;
}

# From now on VmHWM is the peak behind this moment.
sub reset_peak
{
	my ($pid) = @_;
	open(my $file, '>', "/proc/$pid/clear_refs") or die "clear_refs of $pid: $!";
	print $file "5\n";
	close($file) or die "clear_refs of $pid: $!";
	return memory($pid, 'VmRSS');
}

# May memory have grown by that many kB?  What a sanitizer keeps beside it says
# nothing of ours.
sub grown_at_most
{
	my ($kb, $limit, $what) = @_;
  SKIP:
	{
		skip "$what: $kb kB with a sanitizer", 1 if sanitized();
		cmp_ok($kb, '<=', $limit, $what);
	}
	return;
}

# Reads a topic that is too long for a list.  Payloads are numbers that ascend
# with each key.  Returns how many messages there are, and how many came again
# and out of order.
sub read_numbers
{
	my ($topic) = @_;
	my ($count, $repeated, $disordered) = (0, 0, 0);
	my (%last, %partition);

	open(my $in, '-|', 'kcat', '-C', '-b', $kafka->brokers, '-t', $topic, '-e', '-q',
		'-o', 'beginning', '-f', '%p %k %s\n') or die "no kcat: $!";
	while (my $line = <$in>)
	{
		my ($partition, $key, $number) = $line =~ /^(\d+) (\S+) \{"payload":"(\d+)/
		  or die "strange record: $line";
		$partition{$key} //= $partition;
		die "key $key is on partitions $partition and $partition{$key}" if $partition ne $partition{$key};
		$last{$key} //= 0;
		$number > $last{$key} ? ($count++, $last{$key} = $number) :
		  $number == $last{$key} ? $repeated++ : $disordered++;
	}
	close($in) or die "kcat failed: $?";
	return ($count, $repeated, $disordered);
}

# ---------------------------------------------------------------------
# A transaction of a million messages
# ---------------------------------------------------------------------
my $node = new_node('main', kafka => $kafka, conf => "max_connections = 30\nmax_wal_size = 4GB\n");
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('warm', i::text, 'k') FROM generate_series(1, 1000) AS i});
wait_caught_up($node);

my $pid = publisher_pid($node);
my $anonymous = memory($pid, 'RssAnon');
my $rss = reset_peak($pid);
my $start = time;
$node->safe_psql('postgres',
	q{SELECT count(eventuate_send('big', i::text, 'key-' || i % 1000)) FROM generate_series(1, 1000000) AS i});
my $sent = time;
local $Eventuate::timeout = 600;
wait_caught_up($node);
note(sprintf('sent in %.1f s, published in %.1f s; %d kB before, at most %d kB, %d kB after',
		$sent - $start, time - $sent, $rss, memory($pid, 'VmHWM'), memory($pid, 'VmRSS')));
is(publisher_pid($node), $pid, 'the publisher is the same all the time');
grown_at_most(memory($pid, 'VmHWM') - $rss, 100 * 1024, 'its memory grows by at most 100 MB');
grown_at_most(memory($pid, 'RssAnon') - $anonymous, 100 * 1024, 'also afterwards');
is_deeply([ read_numbers('big') ], [ 1_000_000, 0, 0 ], 'a million messages arrive, once and in order');
is(stat_of($node, 'messages'), 1_001_000, 'the view has counted them');
$node->stop;

# ---------------------------------------------------------------------
# A broker that does not answer
# ---------------------------------------------------------------------
my $queue_kb = 2048;
$node = new_node('small', kafka => $kafka,
	conf => "max_connections = 30\neventuate.queue_size = ${queue_kb}kB\n"
	  . "logical_decoding_work_mem = 1MB\nsynchronous_commit = off\n");
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', 'CREATE SEQUENCE numbers');
$kafka->create_topic('pressure', 4);

# Each of 8 clients has its key; 5 messages of 500 bytes a transaction.
my $script = PostgreSQL::Test::Utils::tempdir() . '/send.sql';
open(my $file, '>', $script) or die;
print $file q{SELECT eventuate_send('pressure', nextval('numbers') || repeat('x', 500), 'key-' || :client_id) FROM generate_series(1, 5);};
close $file;

my $messages = 0;

sub load
{
	my ($transactions) = @_;
	my ($out, $err);

	IPC::Run::run(
		[
			'pgbench', '-n', '-c', '8', '-j', '2', '-t', $transactions / 8, '-f', $script,
			$node->connstr('postgres')
		],
		'<', \undef, '>', \$out, '2>', \$err) or die "pgbench: $err";
	$messages += 5 * $transactions;
	my ($rate) = $out =~ /^tps = ([\d.]+)/m or die "pgbench says $out";
	return 5 * $rate;
}

load(800);
wait_caught_up($node);
my $healthy = load(8000);
wait_caught_up($node);
$pid = publisher_pid($node);
$rss = reset_peak($pid);

$kafka->freeze;
my $frozen = load(8000);
note(sprintf('%d messages/s to a broker that answers, %d to one that does not', $healthy, $frozen));
cmp_ok($frozen, '>', $healthy / 2, 'a broker that does not answer does not slow senders down');
wait_until('a queue that is full', sub {
	$Eventuate::seen = stat_of($node, 'in_flight');
	return $Eventuate::seen > $queue_kb * 1024 / 1000;
});
# One transaction that is larger than the queue by far, and more load.
$node->safe_psql('postgres', q{
	SELECT count(eventuate_send('pressure', nextval('numbers') || repeat('x', 500), 'key-8')) FROM generate_series(1, 50000)});
$messages += 50_000;
load(8000);
my $in_flight = stat_of($node, 'in_flight');
cmp_ok($in_flight, '<=', $queue_kb * 1024 / 500, 'no more is in flight than the queue holds');
grown_at_most(memory($pid, 'VmHWM') - $rss, 30 * 1024, 'memory is bounded while the broker does not answer');
is(publisher_pid($node), $pid, 'the publisher waits');

$kafka->thaw;
wait_caught_up($node);
note(sprintf('%d in flight; %d kB before, at most %d kB', $in_flight, $rss, memory($pid, 'VmHWM')));
grown_at_most(memory($pid, 'VmHWM') - $rss, 30 * 1024, 'and while it catches up');
my ($count, $repeated, $disordered) = read_numbers('pressure');
is($count, $messages, 'everything arrives');
is($disordered, 0, 'in order');
is($repeated, 0, 'and once');
is(stat_of($node, 'in_flight'), 0, 'nothing is in flight any more');
wait_for_state($node, 'postgres', 'streaming');

done_testing();
