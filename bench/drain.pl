# How fast a backlog of committed messages reaches Kafka, in transactions of
# one row and of a thousand, beside what else could do it.
#
#	make bench BENCH=drain			ROWS=500000 ROUNDS=5 KAFKA=real|mock
#
# "count" decodes in the process and throws everything away; "bare" is
# librdkafka alone with the same records.  The clock is the broker's: from the
# first to the last record of the backlog.

use strict;
use warnings;

use lib 't', 'bench';
use Bench;
use Bench::Backlog;
use Bench::Peers;

my $rows = $ENV{ROWS} || 500_000;
my $rounds = rounds(5);
my ($kafka, $node) = bench_servers('drain', full => 1);

$node->safe_psql('postgres', 'CREATE PUBLICATION bench FOR TABLE eventuate.message');
foreach my $case ([ 'one row', 1 ], [ '1000 rows', 1000 ])
{
	my ($name, $per_transaction) = @$case;
	my $backlog = Bench::Backlog->new($kafka, $node, "drain_$per_transaction", $rows, $per_transaction,
		qw(count_decode wal2json pgoutput));

	my @debezium = (
		'Debezium, default' => sub { $backlog->debezium(%Bench::Peers::default) },
		'Debezium, tuned' => sub { $backlog->debezium(%Bench::Peers::tuned) });
	my $values = compare("drain, $name", $rounds,
		count => sub { $backlog->count },
		eventuate => sub { $backlog->eventuate },
		'eventuate, exactly once' => sub { $backlog->exactly_once },
		'wal2json to kcat' => sub { $backlog->wal2json },
		$per_transaction == 1 ? @debezium : (),
		bare => sub { $backlog->bare });
	my @peers = grep { /wal2json|Debezium/ } sort keys %$values;
	ratios("drain, $name", $values, 'messages/s', $_, 'eventuate') foreach 'count', 'bare', @peers;
	ratios("drain, $name", $values, 'messages/s', 'eventuate', 'eventuate, exactly once');
	ratios("drain, $name", $values, 'CPU us a message', 'eventuate', @peers);
	ratios("drain, $name", $values, 'MB', 'eventuate', grep { /Debezium/ } @peers);
}
done_testing();
