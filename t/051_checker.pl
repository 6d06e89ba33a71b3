# The torture checker finds what it is there for: a loss, a phantom, a wrong
# order, and duplicates that nothing explains.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(sleep time);
use Torture;

# ---------------------------------------------------------------------
# Evidence made by hand: one client, transactions of two records, one key.
# Times are ms after the start.
# ---------------------------------------------------------------------
sub iterate
{
	my @lines = @_;
	return sub { return shift @lines; };
}

# records		[ms, transaction, number, key, partition, turn, id]
sub verdict
{
	my (%given) = @_;
	my $start = 1_000_000;
	my $offset = 0;

	return Torture::Check::check(
		start => $start,
		mock => $given{mock} // 0,
		events => [ map { [ $_->[0], $start + $_->[1], $start + ($_->[2] // $_->[1]) ] } @{ $given{events} || [] } ],
		journals => [ iterate($given{journal} ? @{ $given{journal} } : map { [ 'C', 1, $_, $_ ] } 1 .. 4) ],
		truth => iterate($given{truth} ? @{ $given{truth} } : map { [ 1, $_, 2, 0, 100 + $_ ] } 1 .. 4),
		samples => iterate(
			map { [ $start + $_->[0], $_->[1], 17, 0, $_->[2], 0, $_->[3] // '101:101:', '' ] }
			  @{ $given{samples} || [ map { [ $_ * 20, 'streaming', 0 ] } 0 .. 1000 ] }),
		records => iterate(
			map {
				my ($ms, $transaction, $n, $key, $partition, $turn, $id) = @$_;
				[ 0, $partition // 0, $offset++, $start + $ms, $key // 'k', 1, $transaction, $n, $turn // 0, $id // 7, 1 ];
			} @{ $given{records} }));
}

my @good = map { ([ 10 * $_, $_, 0 ], [ 10 * $_ + 1, $_, 1 ]) } 1 .. 4;

sub finds
{
	my ($name, $expected, %given) = @_;
	my $figures = verdict(%given);
	my %found = map { $_ => $figures->{$_} } grep { $figures->{$_} } qw(lost phantom reordered damaged excess);

	is_deeply(\%found, $expected, $name) or diag(join("\n", @{ $figures->{problems} }));
	is(@{ $figures->{problems} } > 0, keys %$expected > 0, "$name: told");
	return $figures;
}

finds('all is well', {}, records => \@good);
is(finds('nothing came', { lost => 8 }, records => [])->{messages}, 8, 'messages are counted');
finds('a loss', { lost => 1 }, records => [ @good[ 0 .. 4, 6, 7 ] ]);
finds('a loss at the end', { lost => 1 }, records => [ @good[ 0 .. 6 ] ]);
finds('a lost transaction', { lost => 2 }, records => [ @good[ 0, 1, 4 .. 7 ] ]);

my @aborted = map { [ $_ == 3 ? 'A' : 'C', 1, $_, $_ ] } 1 .. 4;
my @without = map { [ 1, $_, 2, 0, 100 + $_ ] } 1, 2, 4;
finds('an aborted transaction', { phantom => 2 }, journal => \@aborted, truth => \@without, records => \@good);
finds('without its records', {}, journal => \@aborted, truth => \@without, records => [ @good[ 0 .. 3, 6, 7 ] ]);
finds('a savepoint that was rolled back', { phantom => 1 }, records => [ @good, [ 50, 4, $Torture::Check::undone ] ]);
finds('a record too many', { phantom => 1 }, records => [ @good, [ 50, 4, 2 ] ]);
finds('what nobody sent', { phantom => 1 }, records => [ @good, [ 50, 5, 0 ] ]);

my @unknown = map { [ $_ == 3 ? 'U' : 'C', 1, $_, $_ ] } 1 .. 4;
finds('an unknown transaction that is there', {}, journal => \@unknown, records => \@good);
finds('an unknown transaction that is not', {}, journal => \@unknown, truth => \@without, records => [ @good[ 0 .. 3, 6, 7 ] ]);
finds('an unknown transaction, its records only', { phantom => 2 }, journal => \@unknown, truth => \@without, records => \@good);
is(scalar @{ verdict(truth => \@without, records => [ @good[ 0 .. 3, 6, 7 ] ])->{problems} }, 1, 'a commit that the server forgot');
is(scalar @{ verdict(journal => \@aborted, records => \@good)->{problems} }, 1, 'a rollback that the server forgot');
is(scalar @{ verdict(journal => [ [ 'E', 1, 9, 'ERROR:', 'no' ], @aborted ], truth => \@without, records => [ @good[ 0 .. 3, 6, 7 ] ])->{problems} },
	1, "a sender's error");

finds('two transactions of a key', { reordered => 2 }, records => [ @good[ 0, 1, 4, 5, 2, 3, 6, 7 ] ]);
finds('of different keys', {}, records => [ @good[ 0, 1, 4, 5 ], [ 40, 2, 0, 'j' ], [ 40, 2, 1, 'j' ], @good[ 6, 7 ] ]);
finds('records of a transaction', { reordered => 1 }, records => [ @good[ 0, 1, 3, 2, 4 .. 7 ] ]);
finds('of different keys in a partition', { reordered => 1 },
	records => [ @good[ 0, 1 ], [ 20, 2, 1, 'i' ], [ 20, 2, 0, 'j' ], @good[ 4 .. 7 ] ]);
finds('in different partitions', {}, records => [ @good[ 0, 1 ], [ 20, 2, 1, 'i', 1 ], [ 20, 2, 0, 'j', 2 ], @good[ 4 .. 7 ] ]);
my @turns = map { [ 1, $_, 1, 5 - $_, 100 + $_ ] } 1 .. 4;
finds('turns', {}, truth => \@turns, records => [ map { [ 10, $_, 0, 'turn', 0, 5 - $_ ] } reverse 1 .. 4 ]);
finds('turns in the wrong order', { reordered => 3 }, truth => \@turns, records => [ map { [ 10, $_, 0, 'turn', 0, 5 - $_ ] } 1 .. 4 ]);
my @late = map { [ 'C', 1, $_, $_ == 2 ? 9 : $_ ] } 1 .. 4;
finds('a transaction that was prepared for long', {}, journal => \@late, records => [ @good[ 0, 1, 4 .. 7, 2, 3 ] ]);
finds('in the wrong order', { reordered => 4 }, journal => \@late, records => \@good);
my @recovering = map { [ $_ * 20, 'recovering', 0 ] } 0 .. 1000;
finds('where tables were read', {}, journal => \@late, records => \@good, events => [ [ 'slot', 5 ] ], samples => \@recovering);
finds('where they were read no more', { reordered => 4 }, journal => \@late, records => \@good,
	events => [ [ 'slot', 5 ] ], samples => [ map { [ $_ * 2, $_ < 5 ? 'recovering' : 'streaming', 0 ] } 0 .. 1000 ]);
# Transaction 2 ends before 4 begins.
my @early = map { [ 'C', 1, $_, $_ == 2 ? 3 : $_ ] } 1, 2, 4;
my @three = map { [ 1, $_, 2, 0, 100 + $_ ] } 1, 2, 4;
finds('tables, in the order of ids', {}, journal => \@early, truth => \@three, records => [ @good[ 0 .. 3, 6, 7 ] ],
	events => [ [ 'slot', 5 ] ], samples => \@recovering);
finds('tables, what did not overlap', { reordered => 2 }, journal => \@early, truth => \@three, records => [ @good[ 0, 1, 6, 7, 2, 3 ] ],
	events => [ [ 'slot', 5 ] ], samples => \@recovering);
finds('tables, turns', { reordered => 3 }, truth => \@turns, records => [ map { [ 10, $_, 0, 'turn', 0, 5 - $_ ] } 1 .. 4 ],
	events => [ [ 'slot', 5 ] ], samples => \@recovering);

my @again = map { [ 5000 + $_->[0], @$_[ 1, 2 ] ] } @good;
finds('duplicates of nobody', { excess => 8 }, records => [ @good, @again ]);
finds('duplicates after a kill', {}, records => [ @good, @again ], events => [ [ 'publisher', 45 ] ]);
finds('of a transaction that was not acknowledged', {}, records => [ @good, @again ],
	events => [ [ 'publisher', 2000 ] ], samples => [ [ 1980, 'streaming', 8 ], [ 2020, 'starting', 0 ] ]);
finds('beyond what was not', { excess => 1 }, records => [ @good, @again ],
	events => [ [ 'publisher', 2000 ] ], samples => [ map { [ $_ * 20, 'streaming', 7 ] } 0 .. 1000 ]);
finds('of what was acknowledged long ago', { excess => 1 }, records => [ @good, @again ], events => [ [ 'publisher', 2000 ] ]);
finds('a session is not the publisher', { excess => 8 }, records => [ @good, @again ], events => [ [ 'session', 45 ] ]);
finds('after the second of two kills', { excess => 1 }, records => [ @good, @again, map { [ 9000, @$_[ 1, 2 ] ] } @again ],
	events => [ [ 'publisher', 45 ], [ 'everything', 8000 ] ]);
finds('after the loss of the slot', {}, records => [ @good, @again ], events => [ [ 'slot', 3000 ] ]);
finds('of what was stored before that', { excess => 4 }, records => [ @good, @again ],
	events => [ [ 'slot', 3000 ] ], samples => [ map { [ $_ * 20, 'streaming', 0, '103:103:' ] } 0 .. 1000 ]);
finds('of what was still running then', { excess => 2 }, records => [ @good, @again ],
	events => [ [ 'slot', 3000 ] ], samples => [ map { [ $_ * 20, 'streaming', 0, '101:103:101' ] } 0 .. 1000 ]);
finds('after a promotion', {}, records => [ @good, @again ], events => [ [ 'promote', 3000 ] ]);
finds('of what was stored before that, too', { excess => 4 }, records => [ @good, @again ],
	events => [ [ 'promote', 3000 ] ], samples => [ map { [ $_ * 20, 'streaming', 0, '103:103:' ] } 0 .. 1000 ]);
finds('after a crash in a recovery', {}, records => [ @again, map { [ 9000, @$_[ 1, 2 ] ] } @again ],
	events => [ [ 'slot', 3000 ], [ 'publisher', 8000 ] ], samples => [ map { [ $_ * 20, 'recovering', 0 ] } 0 .. 1000 ]);
is(finds('what a slot brings that was published from a table', {}, records => [ (map { [ 3100 + $_->[0], @$_[ 1, 2 ] ] } @good), @again ],
		events => [ [ 'slot', 3000 ] ], samples => [ map { [ $_ * 20, $_ < 200 ? 'recovering' : 'streaming', 0 ] } 0 .. 1000 ])->{overlap},
	8, 'is counted');
finds("retries, that Kafka's idempotence drops", { excess => 8 }, records => [ @good, @good ]);
is(finds('but a mock does not', {}, records => [ @good, @good ], mock => 1)->{retries}, 8, 'retries are counted');
is(scalar @{ verdict(records => [ @good, [ @{ $again[0] }, 'k', 0, 0, 8 ] ], events => [ [ 'publisher', 45 ] ])->{problems} },
	1, 'another id');

# ---------------------------------------------------------------------
# And from end to end: what is wrong on Kafka is found there.
# ---------------------------------------------------------------------
my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "log_statement = none\nmax_prepared_transactions = 20\n");
wait_for_state($node, 'postgres', 'streaming');
my $torture = Torture->new(node => $node, kafka => $kafka, clients => 2, pause => 20);

sub put
{
	my ($key, @payloads) = @_;
	foreach my $payload (@payloads)
	{
		produce($kafka, 'torture.2', $payload, key => $key, partition => 3);
	}
	return;
}

sub now_found
{
	my ($name, %expected) = @_;
	$torture->read_back;
	my $figures = Torture::Check::check($torture->evidence);
	my %found = map { $_ => $figures->{$_} } grep { $figures->{$_} } qw(lost phantom reordered damaged excess duplicates retries);
	is_deeply(\%found, \%expected, $name) or diag(join("\n", @{ $figures->{problems} }));
	return $figures;
}

$torture->begin;
sleep 3;
$torture->settle;
my $figures = now_found('nothing is wrong');
cmp_ok($figures->{messages}, '>', 50, 'messages were sent');
is($figures->{records}, $figures->{messages}, 'each is there once');
cmp_ok($figures->{aborted}, '>', 0, 'transactions were rolled back');
is_deeply($figures->{problems}, [], 'nothing else is wrong');

$node->safe_psql('postgres', 'INSERT INTO truth VALUES (77, 1, 3)');
put('a', map { "T.77.1.$_.0.0." } 0, 1);
now_found('a loss', lost => 1);
put('a', 'T.77.1.2.0.0.');
now_found('which comes late');
put('a', 'T.77.1.1.0.0.');
now_found('a duplicate', duplicates => 1, excess => 1);
put('b', 'T.77.2.0.0.0.', 'hello');
now_found('phantoms', duplicates => 1, excess => 1, phantom => 2);
$node->safe_psql('postgres', 'INSERT INTO truth VALUES (77, 3, 1), (77, 4, 1), (77, 5, 1)');
put('c', 'T.77.4.0.0.0.', 'T.77.3.0.0.0.', 'T.77.5.0.0.9.123456789');
now_found('order and damage', duplicates => 1, excess => 1, phantom => 2, reordered => 1, damaged => 1);

done_testing();
