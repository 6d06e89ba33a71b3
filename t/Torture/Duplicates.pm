# What came again, which fault it was, and whether that may be so many: methods
# of Torture::Check.
#
# Records published behind the oldest that is not acknowledged come again, and
# what was published since the slot was saved.  Where a slot was lost, that is
# everything that eventuate.progress does not know to be published.

package Torture::Check;

use strict;
use warnings;

use Torture::Faults;

# What ms of acknowledged traffic may come again: the slot is saved every
# 100 ms, on a machine that has other things to do as well; and at exit.
our $saved_every = 100;
our $slack = 300;

# Samples are kept as [ms, well, unconfirmed]; changes of the stored snapshot
# as [ms, xmin, xmax, xip].  Where a publisher went without an event it went of
# itself.
sub read_samples
{
	my ($self) = @_;
	my ($snapshot, $pid, $last) = ('', 0, 0);
	my @selves;

	foreach my $event (@{ $self->{events} })
	{
		$event->[2] //= $event->[1];
	}
	while (my $line = $self->{samples}->())
	{
		my ($ms, $state, $new_pid, $in_flight, $unconfirmed, $messages, $new_snapshot, $error) = @$line;
		# Of one that has gone, the view shows the state until the next comes.
		push @{ $self->{seen} }, [ $ms, $new_pid && ($state eq 'streaming' || $state eq 'catching up'), $unconfirmed ];
		if ($new_snapshot ne $snapshot)
		{
			my ($xmin, $xmax, $xip) = split /:/, $snapshot = $new_snapshot;
			push @{ $self->{snapshots} }, [ $ms, $xmin, $xmax, { map { $_ => 1 } split /,/, $xip // '' } ];
		}
		push @selves, [ 'self', $last, $ms, undef, $error ]
		  if $pid && $new_pid != $pid && !grep { $self->ends($_) && $_->[2] >= $last - 1000 && $_->[1] <= $ms } @{ $self->{events} };
		($pid, $last) = ($new_pid, $ms);
	}
	push @{ $self->{events} }, @selves;
	push @{ $self->{figures}{list} },
	  map { sprintf('by itself at %.3f s: %s', ($_->[2] - $self->{start}) / 1000, $_->[4]) } @selves;
	$self->{ends} = [ sort { $a->[2] <=> $b->[2] } grep { $self->ends($_) } @{ $self->{events} } ];
	return;
}

sub loses { return $Torture::faults{ $_[1][0] }{loses}; }
sub ends { return $_[1][0] eq 'self' || $Torture::faults{ $_[1][0] }{ends}; }

# The last of a list, sorted by its first elements, at or before a time.
sub last_before
{
	my ($list, $ms) = @_;
	my ($low, $high) = (0, scalar @{ $list || [] });

	while ($low < $high)
	{
		my $middle = int(($low + $high) / 2);
		if ($list->[$middle][0] <= $ms) { $low = $middle + 1; }
		else { $high = $middle; }
	}
	return $low - 1;
}

# Is the transaction's work known to be published, by what was stored then?
sub stored
{
	my ($self, $ms, $txid) = @_;
	my $index = last_before($self->{snapshots}, $ms);

	return 0 if $index < 0;
	my (undef, $xmin, $xmax, $xip) = @{ $self->{snapshots}[$index] };
	return $txid < $xmin || ($txid < $xmax && !$xip->{$txid});
}

# Did the publisher read from tables then, not from a slot?  What was asked
# last may have been answered later.
sub recovering
{
	my ($self, $ms) = @_;
	my ($loss) = reverse grep { $self->loses($_) && $_->[2] < $ms } @{ $self->{ends} };
	my $seen = $self->{seen};

	return 0 unless $loss;
	for (my $i = last_before($seen, $ms) - 1; $i >= 0 && $seen->[$i][0] > $loss->[2]; $i--)
	{
		return 0 if $seen->[$i][1];
	}
	return 1;
}

# Which fault made it come again?  The loss of a slot, or else the first end of
# a publisher since it was published.  Kafka's own idempotence takes care of
# retries, that keep their timestamps; a mock's does not.
sub blame
{
	my ($self, $what, $before, $now, $txid) = @_;
	my ($from, $to) = ($before + $self->{start} - 1, $now + $self->{start} - 1);

	if ($from == $to)
	{
		$self->{figures}{retries}++;
		$self->excess($what, 'was sent again by a retry') unless $self->{mock};
		return;
	}
	my @between = grep { $_->[2] >= $from && $_->[1] <= $to } @{ $self->{ends} };
	my ($loss) = grep { $self->loses($_) } @between;
	my $event = $loss || $between[0];
	if (!$event)
	{
		return $self->excess($what, "came again without any reason, at $from and $to") unless $self->recovering($from);
		# Published from a table, and then by the new slot.
		$self->{figures}{overlap}++;
		return;
	}

	my $oldest = $event->[2] - $from;
	$self->{figures}{oldest} = $oldest if $oldest > $self->{figures}{oldest};
	my $burst = $self->{bursts}{ $event->[0] . ' ' . $event->[1] } //= { event => $event, count => 0, known => 0 };
	$burst->{count}++;
	# What was not stored may come again where there is no slot.
	if ($loss || ($event->[3] //= $self->recovering($event->[1])))
	{
		$self->excess($what, 'was known to be published when the slot was lost')
		  if $self->stored($event->[1] - 1000, $txid);
	}
	elsif ($self->{exactly_once})
	{
		$self->excess($what, "came again after fault \"$event->[0]\", from $from to $to");
	}
	else
	{
		$burst->{known}++;
	}
	return;
}

sub excess
{
	my ($self, $what, $why) = @_;
	$self->{figures}{excess}++;
	$self->problem("$what $why");
	return;
}

# What may come again: what was not confirmed then, by the view, and what was
# published in the last moments.
sub bound
{
	my ($self, $event) = @_;
	my $window = ($Torture::faults{ $event->[0] }{saves} ? 0 : $saved_every) + $slack;
	my $from = $event->[1] - $window;
	my $seen = $self->{seen};
	my ($unconfirmed, $any) = (0, 0);

	for (my $i = last_before($seen, $event->[2]); $i >= 0; $i--)
	{
		last if $any && $seen->[$i][0] < $from;
		# Nobody looked: the moments begin earlier.
		$from = $seen->[$i][0] if $seen->[$i][0] < $from;
		$unconfirmed = $seen->[$i][2] if $seen->[$i][2] > $unconfirmed;
		$any = 1;
	}
	my $published = 0;
	$published += $self->{published}{$_} // 0
	  foreach int(($from - $self->{start}) / 10) .. int(($event->[2] - $self->{start}) / 10) + 1;
	return $unconfirmed + $published;
}

sub judge_bursts
{
	my ($self) = @_;
	my $figures = $self->{figures};

	foreach my $burst (sort { $a->{event}[1] <=> $b->{event}[1] } values %{ $self->{bursts} })
	{
		my $event = $burst->{event};
		my $bound = $self->bound($event);

		$figures->{bursts}++;
		if ($burst->{count} > $figures->{largest})
		{
			@$figures{qw(largest largest_kind)} = ($burst->{count}, $event->[0]);
			$figures->{bound} = $burst->{known} == $burst->{count} ? $bound : 'what was not stored';
		}
		push @{ $figures->{list} },
		  sprintf('burst: %s at %.3f s: %d, bound %s', $event->[0], ($event->[1] - $self->{start}) / 1000,
			$burst->{count}, $burst->{known} == $burst->{count} ? $bound : 'what was not stored');
		next if $burst->{known} <= $bound;
		$self->excess("$burst->{known} records", "came again after fault \"$event->[0]\" at $event->[1], more than $bound");
	}
	return;
}

1;
