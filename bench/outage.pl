# What senders notice of an outage of Kafka, and what it costs afterwards.
#
#	make bench BENCH=outage			SECONDS_EACH=20 ROUNDS=3 CLIENTS=4 RATE=0
#
# Sends with Kafka up and down in turns, ROUNDS times each, as fast as it goes
# or at a RATE of transactions a second.  Prints what was sent, the publisher's
# memory, how long it took to drain, and the ratio of the medians.  Everything
# shares one machine: a publisher that is at rest leaves its share to senders.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $seconds = $ENV{SECONDS_EACH} || 20;
my $rounds = $ENV{ROUNDS} || 3;
my $clients = $ENV{CLIENTS} || 4;
my @rate = $ENV{RATE} ? ('-R', $ENV{RATE}) : ();
my $kafka = real_kafka();
my $node = new_node('outage', kafka => $kafka,
	conf => "shared_buffers = 256MB\nmax_wal_size = 8GB\ncheckpoint_timeout = 1h\nlog_statement = none\nautovacuum = off\n");
my $payload = '{"note": "' . 'x' x 288 . '"}';
my $script = PostgreSQL::Test::Utils::tempdir() . '/send.sql';
open(my $file, '>', $script) or die;
print $file "\\set customer random(1, 1000)\nSELECT eventuate_send('outage', '$payload', :customer\::text);\n";
close $file;

sub rss_of
{
	my ($pid) = @_;
	my ($kb) = slurp_file("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/;
	return int($kb / 1024);
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

# Transactions a second of some seconds' sending.
sub send_for
{
	my ($length) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 2, '-T', $length, @rate, '-f', $script, $node->connstr('postgres') ],
		'>', \$out, '2>', \$err) or die "pgbench: $err";
	return $out =~ /^tps = ([\d.]+)/m ? $1 : die $out;
}

# Sends, then drains; returns the rate.
sub measure
{
	my ($what) = @_;
	my $pid = publisher_pid($node);
	my $before = rss_of($pid);
	my $rate = send_for($seconds);
	my $rss = rss_of($pid);
	my ($lag, $start) = (stat_of($node, 'lag_bytes'), time);

	if ($what eq 'down')
	{
		is(stat_of($node, 'state'), 'waiting', 'Kafka is down');
		$kafka->start;
		$start = time;
	}
	wait_caught_up($node);
	note(sprintf("%s: %d transactions/s, publisher %d MB before, %d MB after, %d MB of WAL behind, drained in %.1f s",
			$what, $rate, $before, $rss, $lag / 1048576, time - $start));
	return $rate;
}

wait_for_state($node, 'postgres', 'streaming');
send_for(3);
wait_caught_up($node);
my %rates;
foreach my $round (1 .. $rounds)
{
	push @{ $rates{up} }, measure('up');
	$kafka->stop;
	wait_for_state($node, 'postgres', 'waiting');
	push @{ $rates{down} }, measure('down');
	wait_for_state($node, 'postgres', 'streaming');
}
my ($up, $down) = map { median(@{ $rates{$_} }) } qw(up down);
note(sprintf('down / up: %d / %d = %.2f', $down, $up, $down / $up));
done_testing();
