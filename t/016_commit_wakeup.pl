# A commit wakes the publisher: it does not wait for its fallback poll, which
# comes 100 ms after the last thing that happened.
#
# Each message is sent when the one before has arrived, so that the publisher
# sleeps.  Measured is the time from right before the commit to the record's
# timestamp, which is when the publisher gave it to its producer.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $messages = 30;
my $limit = 25;		# ms, of the median

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
my $session = $node->background_psql('postgres');

my $file = PostgreSQL::Test::Utils::tempdir() . '/row';

# Columns of a row as a Java producer would write it.
my $columns = 'eventuate.message (id, destination, headers, payload)';
my $row = sub {
	my ($topic, $i) = @_;
	return ("$topic-$i", $topic, qq({"PARTITION_ID":"k","ID":"$topic-$i"}), $i);
};
my $insert = sub { "INSERT INTO $columns VALUES (" . join(', ', map { "'$_'" } $row->(@_)) . ')' };

my %ways = (
	send => sub { "SELECT :now, eventuate_send('$_[0]', '$_[1]', 'k');" },
	produce => sub { "SELECT :now, eventuate_produce('$_[0]', '$_[1]', 'k');" },
	insert => sub { "SELECT :now; " . $insert->(@_) . ';' },
	copy => sub {
		open(my $handle, '>', $file) or die "could not write $file: $!";
		print $handle join("\t", $row->(@_)), "\n";
		close $handle;
		return "SELECT :now; COPY $columns FROM '$file';";
	},
	savepoint => sub { "BEGIN; SAVEPOINT s; " . $insert->(@_) . "; RELEASE s; SELECT :now; COMMIT;" },
	prepared => sub { "BEGIN; " . $insert->(@_) . "; PREPARE TRANSACTION 'p'; SELECT :now; COMMIT PREPARED 'p';" },
	asynchronous => sub { "BEGIN; SET LOCAL synchronous_commit = off; " . $insert->(@_) . "; SELECT :now; COMMIT;" },
);

$session->query_safe(q{\set now 'floor(extract(epoch FROM clock_timestamp()) * 1000)'});
foreach my $way (sort keys %ways)
{
	my @started;
	my $count = stat_of($node, 'messages');

	$kafka->create_topic($way, 1);
	foreach my $i (1 .. $messages)
	{
		my ($now) = $session->query_safe($ways{$way}->($way, $i)) =~ /^(\d{13})\b/m
		  or die "$way does not tell the time";
		push @started, $now;
		$count++;
		wait_until("message $i of $way",
			sub { $session->query_safe('SELECT messages FROM pg_stat_eventuate') >= $count });
	}
	my @records = consume($kafka, $way);
	is(scalar @records, $messages, "$way: all arrive");
	my @latency = sort { $a <=> $b } map { $records[$_]{ts} - $started[$_] } 0 .. $#records;
	note("$way: @latency");
	cmp_ok($latency[ @latency / 2 ], '<', $limit, "$way: the commit wakes the publisher");
}
$session->quit;

done_testing();
