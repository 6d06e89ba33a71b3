# What is on Kafka against what the database says: nothing lost, nothing else
# there, every key in order.  How much may come again: Torture::Duplicates.
#
#	my $figures = Torture::Check::check(evidence);
#	print Torture::Check::summary($figures, ...);

package Torture::Check;

use strict;
use warnings;

use Torture::Duplicates;
use Torture::Faults;

our $undone = 900_000;			# numbers of records rolled back to a savepoint

# Of a transaction: count of records, its place among its client's, txid, what
# COMMIT answered, and for each record, packed, when it was published last and
# the hash of its id.
use constant { RECORDS => 0, PLACE => 1, TXID => 2, ANSWER => 3, TIMES => 4, IDS => 5, NUMBERS => 6 };

# events		[kind, ms at its begin, ms when the publisher was gone]
# start			ms; no record is older
# exactly_once	duplicates come only of the loss of a slot
# journals, truth, samples, records		iterators over what t/torture_client wrote
#
# Returns counts, and in "problems" what is wrong, as text.
sub check
{
	my (%evidence) = @_;
	my $self = bless { problems => [], %evidence }, __PACKAGE__;

	$self->{figures} = { map { $_ => 0 }
		  qw(selves transactions committed aborted unknown survived messages records lost phantom reordered damaged
		  duplicates bursts largest bound excess overlap retries oldest) };
	$self->read_journals;
	$self->read_truth;
	$self->read_samples;
	$self->read_records;
	$self->count_lost;
	$self->judge_bursts;
	my $figures = $self->{figures};
	$_->[0] eq 'self' ? $figures->{selves}++ : $figures->{kills}{ $_->[0] }++ foreach @{ $evidence{events} };
	$figures->{problems} = $self->{problems};
	return $figures;
}

# One line for people.
sub summary
{
	my ($figures, %more) = @_;
	my %kills = %{ $figures->{kills} || {} };
	my $kills = 0;

	$kills += $_ foreach values %kills;
	return "seed $more{seed}, $more{kafka} Kafka, $more{seconds} s: $kills faults ("
	  . join(', ', map { "$_ $kills{$_}" } sort keys %kills)
	  . '), ' . ($more{reset} ? "$more{reset} connections reset, " : '')
	  . ($more{unanswered} ? "$more{unanswered} with an answer outstanding, " : '')
	  . "$figures->{selves} by itself; $figures->{transactions} transactions ($figures->{committed} committed, $figures->{aborted} aborted, "
	  . "$figures->{unknown} unknown, $figures->{survived} of these survived); $figures->{messages} messages, lost $figures->{lost}, "
	  . "phantom $figures->{phantom}, reordered $figures->{reordered}; $figures->{duplicates} duplicates in $figures->{bursts} bursts, "
	  . "the largest $figures->{largest}"
	  . ($figures->{largest} ? " ($figures->{largest_kind}, bound $figures->{bound})" : '')
	  . ", beyond bounds $figures->{excess}"
	  . ($figures->{overlap} ? ", by births $figures->{overlap}" : '')
	  . ($figures->{retries} ? ", by retries $figures->{retries}" : '');
}

sub problem
{
	my ($self, $text) = @_;
	push @{ $self->{problems} }, $text if @{ $self->{problems} } < 50;
	return;
}

sub read_journals
{
	my ($self) = @_;
	my %name = (C => 'committed', A => 'aborted', U => 'unknown');

	foreach my $journal (@{ $self->{journals} })
	{
		while (my $line = $journal->())
		{
			my ($answer, $client, $number, $place, @text) = @$line;
			if ($answer eq 'E')
			{
				$self->problem("client $client, transaction $number: " . join(' ', $place, @text));
				next;
			}
			$self->{figures}{transactions}++;
			$self->{figures}{ $name{$answer} }++;
			$self->{transactions}[$client][$number] = [ 0, $place, 0, $answer, '', '' ];
		}
	}
	return;
}

sub read_truth
{
	my ($self) = @_;

	while (my $line = $self->{truth}->())
	{
		my ($client, $number, $records, $turn, $txid) = @$line;
		my $transaction = $self->{transactions}[$client][$number] //= [ 0, $number, 0, 'U', '', '' ];

		$self->problem("transaction $client.$number is in the database, but was rolled back")
		  if $transaction->[ANSWER] eq 'A';
		$self->{figures}{survived}++ if $transaction->[ANSWER] eq 'U';
		$self->{figures}{messages} += $records;
		@$transaction[ RECORDS, TXID ] = ($records, $txid);
	}
	foreach my $client (grep { defined $self->{transactions}[$_] } 0 .. $#{ $self->{transactions} })
	{
		my $transactions = $self->{transactions}[$client];
		foreach my $number (grep { defined $transactions->[$_] } 0 .. $#$transactions)
		{
			$self->problem("transaction $client.$number was committed, but is not in the database")
			  if $transactions->[$number][ANSWER] eq 'C' && $transactions->[$number][RECORDS] == 0;
		}
	}
	return;
}

sub read_records
{
	my ($self) = @_;
	my $figures = $self->{figures};
	my (%last, %seen_at);

	while (my $record = $self->{records}->())
	{
		my ($topic, $partition, $offset, $ms, $key, $client, $number, $n, $turn, $id, $intact) = @$record;
		my $transaction = $client >= 0 ? $self->{transactions}[$client][$number] : undef;
		my $what = "[$topic/$partition/$offset] $client.$number.$n";
		my $time = $ms - $self->{start} + 1;

		$figures->{records}++;
		$self->{published}{ int($time / 10) }++;
		if (!$transaction || $n >= $transaction->[RECORDS])
		{
			$figures->{phantom}++;
			$self->problem("$what is a phantom: "
				  . ($transaction ? "answer $transaction->[ANSWER], $transaction->[RECORDS] records" : 'nobody sent it'));
			next;
		}
		if (!$intact)
		{
			$figures->{damaged}++;
			$self->problem("$what is damaged");
		}
		my $before = vec($transaction->[TIMES], $n, 32);
		if ($before)
		{
			$figures->{duplicates}++;
			$self->problem("$what: a duplicate has another id") if vec($transaction->[IDS], $n, 32) != $id;
			$self->blame($what, $before, $time, $transaction->[TXID]);
		}
		else
		{
			vec($transaction->[IDS], $n, 32) = $id;
			$self->check_order($what, "$topic $key", $topic * 100 + $partition, $transaction, $n,
				$turn ? ($turn, $turn) : $self->places($transaction, $number, $ms));
		}
		vec($transaction->[TIMES], $n, 32) = $time > $before ? $time : $before;
	}
	return;
}

# Where a transaction belongs among its client's: what ended before "end" comes
# before it, what ended after "place" comes after it.  That is the commit; but
# from a table it goes by id, and those that overlapped with it may swap.
sub places
{
	my ($self, $transaction, $number, $ms) = @_;
	my $end = $transaction->[PLACE];

	return ($end == $number || !$self->recovering($ms) ? $end : $number, $end);
}

# First appearances: in the order of commits for a key, in the order of
# sending for a transaction.
sub check_order
{
	my ($self, $what, $key, $partition, $transaction, $n, $place, $end) = @_;
	my $numbers = $transaction->[NUMBERS] //= {};
	my $wrong = $n < ($numbers->{$partition} // 0) ? 'within its transaction' : undef;

	$numbers->{$partition} = $n;
	delete $transaction->[NUMBERS] if $transaction->[RECORDS] == 1;

	my $last = $self->{keys}{$key} //= [ 0, 0 ];
	if ($end < $last->[0] || ($end == $last->[0] && $n < $last->[1]))
	{
		$wrong //= "for its key \"$key\", behind transaction $last->[0]";
	}
	elsif ($place >= $last->[0])
	{
		@$last = ($place, $n);
	}
	return unless $wrong;
	$self->{figures}{reordered}++;
	$self->problem("$what is out of order $wrong");
	return;
}

sub count_lost
{
	my ($self) = @_;

	foreach my $client (grep { defined $self->{transactions}[$_] } 0 .. $#{ $self->{transactions} })
	{
		my $transactions = $self->{transactions}[$client];
		foreach my $number (grep { defined $transactions->[$_] } 0 .. $#$transactions)
		{
			my $transaction = $transactions->[$number];
			my @lost = grep { !vec($transaction->[TIMES], $_, 32) } 0 .. $transaction->[RECORDS] - 1;
			next unless @lost;
			$self->{figures}{lost} += @lost;
			$self->problem("$client.$number (txid $transaction->[TXID], answer $transaction->[ANSWER], $transaction->[RECORDS] records) lost "
				  . (@lost > 5 ? "@lost[0 .. 4] and more" : "@lost"));
		}
	}
	return;
}

1;
