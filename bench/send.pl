# What sending costs, against an INSERT of the same row.
#
#	make bench BENCH=send			SECONDS_EACH=3 ROUNDS=5
#
# One client, prepared statements; a commit for each, or a hundred in one
# transaction, sent in a pipeline so that the network does not hide the work.
# Kafka is away.  Prints microseconds a message, by the clock and of
# the session's CPU, and their ratios, round by round.  What nobody can be
# below is shown as well: a statement that does nothing, and PostgreSQL's own
# function for messages in WAL with the payload alone.

use strict;
use warnings;

use lib 't', 'bench';
use Bench;

my $seconds = $ENV{SECONDS_EACH} || 3;
my ($kafka, $node) = bench_servers('send', conf => "eventuate.queue_size = 1MB\n");
my $payload = payload();
my %statement = (
	INSERT => "\\set n :n + 1\n"
	  . 'INSERT INTO eventuate.message (id, destination, headers, payload) '
	  . "VALUES ('0000019f2c3d4e5f-ab' || :n::text, 'send', "
	  . q('{"type":"OrderCreated","PARTITION_ID":"42","DATE":"Sun, 22 Nov 2026 23:00:00 GMT","DESTINATION":"send","ID":"0000019f2c3d4e5f-ab00000000000000000"}')
	  . ", '$payload');\n",
	eventuate_send => "SELECT eventuate_send('send', '$payload', '42', '{\"type\": \"OrderCreated\"}');\n");
$statement{'pg_logical_emit_message'} = "SELECT pg_logical_emit_message(true, 'nobody', '$payload');\n";
$statement{'SELECT 1'} = "SELECT 1;\n";
my %settings = ('eventuate_send, WAL only' => '-c eventuate.send_mode=wal');
$statement{'eventuate_send, WAL only'} = $statement{eventuate_send};

# With Kafka away the publisher soon rests, and its slot still keeps what is in
# WAL only; of a publisher that is paused that would be rows.
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');

foreach my $case ([ 'a commit each', 1 ], [ '100 in a transaction', 100 ])
{
	my ($name, $many) = @$case;
	my %values;
	my @who = sort { $b eq 'INSERT' ? 1 : $a eq 'INSERT' ? -1 : $a cmp $b } keys %statement;

	foreach my $who (@who)
	{
		$values{$who}{script} = script($many == 1
			? $statement{$who}
			: "BEGIN;\n\\startpipeline\n" . $statement{$who} x $many . "\\endpipeline\nCOMMIT;\n");
	}
	my $measured = compare("send, $name", rounds(5), map {
			my $who = $_;
			($who => sub {
				my ($round) = @_;
				local $ENV{PGOPTIONS} = $settings{$who} // '';
				# Ids that rise, of the same length in each round.
				my $n = 10**16 * (10 + $round) + $many * 10**14;
				my $postmaster = slurp_file($node->data_dir . '/postmaster.pid') =~ s/\n.*//sr;
				my $cpu = cpu_of_children($postmaster);
				my $rate = pgbench($node, '-c', 1, '-T', $seconds, '-D', "n=$n", '-f', $values{$who}{script});
				# The postmaster knows when it has seen the session's end.
				wait_until('the end of the session', sub { cpu_of_children($postmaster) - $cpu > $seconds / 5 });
				$cpu = cpu_of_children($postmaster) - $cpu;
				$node->safe_psql('postgres', 'TRUNCATE eventuate.message; CHECKPOINT');
				return ('us a message' => 1e6 / $rate / $many, 'CPU us a message' => $cpu * 1e6 / ($rate * $many * $seconds));
			})
		} @who);
	ratios("send, $name", $measured, $_, 'INSERT', grep { $_ ne 'INSERT' } @who) foreach 'us a message', 'CPU us a message';
}
done_testing();
