# Clients send while everything dies; then what is on Kafka is compared with
# what the database says.
#
#	my $torture = Torture->new(node => $node, kafka => $kafka, seed => 1);
#	$torture->begin;
#	$torture->break_things(kills => 20, seconds => 30);
#	$torture->settle;
#	my $figures = Torture::check($torture->evidence);
#
# The programs are t/torture_client's.  Everything that they saw is in files
# of $torture->{directory}, below the test's logs.

package Torture;

use strict;
use warnings;

use Eventuate ();
use IO::File;
use POSIX ();
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(sleep time);

our @topics = map { "torture.$_" } 0 .. 2;
our $partitions = 4;
our $undone = 900_000;			# numbers of records rolled back to a savepoint

# What ms of acknowledged traffic may come again: the slot is saved every
# 100 ms, on a machine that has other things to do as well; and at exit.
our $saved_every = 100;
our $slack = 300;

# Faults, and how often each is chosen.  "ends" the publisher's session.
my %faults = (
	publisher => { weight => 14, ends => 1 },
	launcher => { weight => 6, ends => 1 },
	backend => { weight => 10, ends => 1 },
	postmaster => { weight => 8, ends => 1 },
	everything => { weight => 8, ends => 1 },
	terminate => { weight => 8, ends => 1, saves => 1 },
	session => { weight => 6 },
	restart => { weight => 5, ends => 1, saves => 1 },
	immediate => { weight => 6, ends => 1 },
	broker => { weight => 6 },
	freeze => { weight => 10 },
	slot => { weight => 4, ends => 1 });

# ---------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------
sub new
{
	my ($class, %options) = @_;
	my $self = bless { clients => 5, pause => 40, seed => 1, events => [], later => [], %options }, $class;
	my ($test) = $0 =~ m{([^/]+?)(\.pl)?$};
	our $count;

	$self->{directory} = "$PostgreSQL::Test::Utils::log_path/${test}_seen" . ++$count;
	mkdir $self->{directory};
	return $self;
}

sub mock { return $_[0]{kafka}->isa('Eventuate::Mock'); }

# A program of t/torture_client's, its output in a file.
sub launch
{
	my ($self, $name, $in, @arguments) = @_;

	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		open(STDIN, ref $in ? '<&' : '<', $in)
		  and open(STDOUT, '>', "$self->{directory}/$name")
		  and open(STDERR, '>>', "$self->{directory}/$name.log")
		  and exec('t/torture_client', @arguments);
		POSIX::_exit(127);
	}
	return $self->{running}{$name} = $pid;
}

# Waits for a program's end.
sub join_program
{
	my ($self, $name) = @_;
	my $pid = $self->{running}{$name};

	Eventuate::wait_until("the end of \"$name\"", sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
	delete $self->{running}{$name};
	die "\"$name\" failed: " . Eventuate::slurp_file("$self->{directory}/$name.log") . "\n" if $? != 0;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);

	foreach my $pid (values %{ $self->{running} })
	{
		CORE::kill('KILL', $pid);
		waitpid($pid, 0);
	}
	$_->[1]->() foreach grep { $_->[2] } @{ $self->{later} };
	return;
}

sub now_ms { return int(time * 1000); }

# Tables, clients, and who looks at them.
sub begin
{
	my ($self) = @_;
	my $node = $self->{node};
	my $connection = $node->connstr('postgres');

	$node->safe_psql('postgres', q{
		CREATE TABLE truth (client int, transaction int, records int, turn bigint DEFAULT 0,
			txid xid8 DEFAULT pg_current_xact_id());
		CREATE TABLE turn (n bigint);
		INSERT INTO turn VALUES (0);});
	# Its partitions are small: what it has is read before it forgets it.
	if ($self->mock)
	{
		$self->{kafka}->create_topic($_, $partitions) foreach @topics;
		pipe(my $in, $self->{reader}) or die "no pipe: $!";
		$self->launch('records', $in, 'read', $self->{kafka}->brokers, $partitions, @topics);
	}
	$self->{start} = now_ms();
	$self->launch('samples', '/dev/null', 'sample', $connection);
	$self->launch("client$_", '/dev/null', 'send', $connection, $_, $self->{seed}, $self->{pause})
	  foreach 1 .. $self->{clients};
	return;
}

# The clients come to their ends, and Kafka gets everything.
sub settle
{
	my ($self) = @_;
	my $node = $self->{node};

	$self->do_later(1);
	Eventuate::wait_for_query($node, 'postgres', 'SELECT true');
	CORE::kill('TERM', $self->{running}{"client$_"}) foreach 1 .. $self->{clients};
	$self->join_program("client$_") foreach 1 .. $self->{clients};
	Eventuate::wait_for_state($node, 'postgres', 'streaming');
	Eventuate::wait_caught_up($node);
	CORE::kill('TERM', $self->{running}{samples});
	$self->join_program('samples');

	$self->read_back;
	return;
}

# Everything on Kafka, and what the database says.
sub read_back
{
	my ($self) = @_;

	if ($self->{reader})
	{
		close delete $self->{reader};
	}
	else
	{
		$self->launch('records', '/dev/null', 'read', $self->{kafka}->brokers, $partitions, @topics);
	}
	$self->join_program('records');
	$self->{node}->command_ok(
		[
			'psql', '-XAtq', '-F', ' ', '-d', $self->{node}->connstr('postgres'), '-o', "$self->{directory}/truth",
			'-c', 'SELECT * FROM truth ORDER BY client, transaction'
		],
		'what the database says');
	return;
}

# ---------------------------------------------------------------------
# Faults
# ---------------------------------------------------------------------

# What is due of the ends of faults; or all.
sub do_later
{
	my ($self, $all) = @_;
	my @later = @{ $self->{later} };

	$self->{later} = [ grep { !$all && $_->[0] > time } @later ];
	$_->[1]->() foreach sort { $a->[0] <=> $b->[0] } grep { $all || $_->[0] <= time } @later;
	return;
}

# Processes of the server: [pid, title].
sub children
{
	my ($self) = @_;
	my $postmaster = $self->{node}{_pid} or return ();
	my @children;

	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		my $stat = IO::File->new($file) or next;
		my ($pid, $parent) = ((<$stat> // '') =~ /^(\d+) \(.*\) \S (\d+)/s) or next;
		next unless $parent == $postmaster;
		my $title = IO::File->new("/proc/$pid/cmdline") or next;
		push @children, [ $pid, <$title> // '' ];
	}
	return @children;
}

sub pids
{
	my ($self, $pattern) = @_;
	return map { $_->[0] } grep { $_->[1] =~ $pattern } $self->children;
}

# The dead do not count, also when nobody has buried them.
sub alive
{
	my $stat = IO::File->new("/proc/$_[0]/stat") or return 0;
	return (<$stat> // '') =~ /\) [^ZX] /;
}

sub wait_gone
{
	my (@pids) = @_;
	Eventuate::wait_until("the end of @pids", sub { !grep { alive($_) } @pids });
	return;
}

sub pick { return $_[ rand @_ ]; }

my $publisher = qr/eventuate publisher/;

# Kills one of them; false if there is none.  The publisher ends with it.
sub kill_one
{
	my ($self, $signal, $pattern) = @_;
	my @publishers = $self->pids($publisher);
	my $pid = pick($self->pids($pattern)) or return;

	CORE::kill($signal, $pid);
	wait_gone($pid, @publishers);
	return 1;
}

sub start_node
{
	my ($self) = @_;
	my $node = $self->{node};

	foreach my $try (1 .. 3)
	{
		return 1 if $node->start(fail_ok => 1);
	}
	die "the server does not start\n";
}

# kill -9 of the postmaster, perhaps with all its children.
sub kill_postmaster
{
	my ($self, $children) = @_;
	my $postmaster = $self->{node}{_pid};
	my @pids = map { $_->[0] } $self->children;

	$self->{node}->kill9;
	CORE::kill('KILL', @pids) if $children && @pids;
	wait_gone(@pids);
	$self->end_event;
	# The next one looks whether this one is there, buried or not.
	Eventuate::wait_until('the burial of the postmaster', sub { !CORE::kill(0, $postmaster) });
	return;
}

sub drop_slot
{
	my ($self) = @_;

	# By hand, or while the server is down.
	if (rand() < 0.5)
	{
		$self->kill_postmaster(1);
		File::Path::remove_tree(glob $self->{node}->data_dir . '/pg_replslot/eventuate_*');
		$self->start_node;
		return 1;
	}
	Eventuate::wait_for_query($self->{node}, 'postgres', 'SELECT true');
	return Eventuate::wait_until(
		'a slot to drop',
		sub {
			CORE::kill('TERM', $self->pids($publisher));
			return defined Eventuate::ask($self->{node}, 'postgres',
				q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'eventuate\_%' AND NOT temporary});
		});
}

# Each returns false if it could not be done now.
my %actions = (
	publisher => sub { $_[0]->kill_one('KILL', $publisher) },
	launcher => sub { $_[0]->kill_one('KILL', qr/eventuate launcher/) },
	backend => sub { $_[0]->kill_one('KILL', qr/\[local\]/) },
	terminate => sub { $_[0]->kill_one('TERM', $publisher) },
	session => sub {
		my @pids = $_[0]->pids(qr/\[local\]/) or return;
		return CORE::kill('TERM', pick(@pids));
	},
	postmaster => sub {
		$_[0]->kill_postmaster(0);
		$_[0]->start_node;
	},
	everything => sub {
		$_[0]->kill_postmaster(1);
		$_[0]->start_node;
	},
	restart => sub {
		$_[0]{node}->stop('fast');
		$_[0]->end_event;
		$_[0]->start_node;
	},
	immediate => sub {
		$_[0]{node}->stop('immediate');
		$_[0]->end_event;
		$_[0]->start_node;
	},
	slot => sub { $_[0]->drop_slot },
	# These last while others happen.
	broker => sub {
		my ($self) = @_;
		my $kafka = $self->{kafka};

		return if @{ $self->{later} };
		# A mock would lose its data.
		$self->mock ? $kafka->stop : $kafka->kill;
		push @{ $self->{later} }, [ time + rand 3, sub { $kafka->start } ];
	},
	freeze => sub {
		my ($self) = @_;
		my $kafka = $self->{kafka};

		return if @{ $self->{later} };
		$kafka->freeze;
		push @{ $self->{later} }, [ time + (rand() < 0.7 ? rand 1 : rand 6), sub { $kafka->thaw }, 1 ];
	});

sub end_event
{
	my ($self) = @_;
	$self->{events}[-1][2] //= now_ms();
	return 1;
}

sub fault
{
	my ($self, $kind) = @_;

	push @{ $self->{events} }, [ $kind, now_ms() ];
	my $log = IO::File->new("$self->{directory}/events", '>>');
	if ($actions{$kind}->($self))
	{
		$self->end_event;
		print $log join(' ', @{ $self->{events}[-1] }), "\n";
		return 1;
	}
	pop @{ $self->{events} };
	return;
}

sub state
{
	my ($self) = @_;
	return Eventuate::ask($self->{node}, 'postgres', 'SELECT state FROM pg_stat_eventuate') // '';
}

# kills: as many faults; seconds: but not longer; only: a list of kinds.
sub break_things
{
	my ($self, %options) = @_;
	foreach my $kind (@{ $options{only} || [] })
	{
		die "there is no fault \"$kind\"\n" unless $faults{$kind};
	}
	my @bag = map { ($_) x $faults{$_}{weight} } sort @{ $options{only} || [ keys %faults ] };
	my $end = time + $options{seconds};

	srand $self->{seed};
	for (my $kills = 0; $kills < $options{kills} && time < $end;)
	{
		# Half of the faults hit a publisher that is well.
		my $well = rand() < 0.5 ? time + 5 : 0;
		sleep(rand() < 0.3 ? rand 0.2 : rand 1.5);
		$self->do_later;
		while (time < $well && !@{ $self->{later} } && $self->state ne 'streaming')
		{
			sleep 0.05;
		}
		sleep rand 0.7 if $well;
		$kills++ if $self->fault(pick(@bag));
	}
	return;
}

# ---------------------------------------------------------------------
# What was seen, for check()
# ---------------------------------------------------------------------

# An iterator over a file's lines, each split at a separator.
sub lines
{
	my ($file, $separator) = @_;
	my $handle = IO::File->new($file) or die "could not read $file: $!";

	return sub {
		my $line = <$handle>;
		return unless defined $line;
		chomp $line;
		return [ split $separator, $line, -1 ];
	};
}

sub evidence
{
	my ($self) = @_;
	my $directory = $self->{directory};

	return (
		start => $self->{start},
		events => $self->{events},
		mock => $self->mock,
		journals => [ map { lines("$directory/client$_", qr/ /) } 1 .. $self->{clients} ],
		truth => lines("$directory/truth", qr/ /),
		samples => lines("$directory/samples", qr/\t/),
		records => lines("$directory/records", qr/ /));
}

# ---------------------------------------------------------------------
# Checking
# ---------------------------------------------------------------------

# Of a transaction: count of records, its place among its client's, txid, what
# COMMIT answered, and for each record, packed, when it was published last and
# the hash of its id.
use constant { RECORDS => 0, PLACE => 1, TXID => 2, ANSWER => 3, TIMES => 4, IDS => 5, NUMBERS => 6 };

# events		[kind, ms at its begin, ms when the publisher was gone]
# start			ms; no record is older
# journals, truth, samples, records		iterators over what t/torture_client wrote
#
# Returns counts, and in "problems" what is wrong, as text.
sub check
{
	my (%evidence) = @_;
	my $self = bless { problems => [], %evidence }, 'Torture::Check';

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
	  . "), $figures->{selves} by itself; $figures->{transactions} transactions ($figures->{committed} committed, $figures->{aborted} aborted, "
	  . "$figures->{unknown} unknown, $figures->{survived} of these survived); $figures->{messages} messages, lost $figures->{lost}, "
	  . "phantom $figures->{phantom}, reordered $figures->{reordered}; $figures->{duplicates} duplicates in $figures->{bursts} bursts, "
	  . "the largest $figures->{largest}"
	  . ($figures->{largest} ? " ($figures->{largest_kind}, bound $figures->{bound})" : '')
	  . ", beyond bounds $figures->{excess}"
	  . ($figures->{overlap} ? ", by births $figures->{overlap}" : '')
	  . ($figures->{retries} ? ", by retries $figures->{retries}" : '');
}

package Torture::Check;

use constant { RECORDS => 0, PLACE => 1, TXID => 2, ANSWER => 3, TIMES => 4, IDS => 5, NUMBERS => 6 };

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
		my ($ms, $state, $new_pid, $in_flight, $unconfirmed, $messages, $new_snapshot) = @$line;
		# Of one that has gone, the view shows the state until the next comes.
		push @{ $self->{seen} }, [ $ms, $new_pid && ($state eq 'streaming' || $state eq 'catching up'), $unconfirmed ];
		if ($new_snapshot ne $snapshot)
		{
			my ($xmin, $xmax, $xip) = split /:/, $snapshot = $new_snapshot;
			push @{ $self->{snapshots} }, [ $ms, $xmin, $xmax, { map { $_ => 1 } split /,/, $xip // '' } ];
		}
		push @selves, [ 'self', $last, $ms ]
		  if $pid && $new_pid != $pid && !grep { $self->ends($_) && $_->[2] >= $last - 1000 && $_->[1] <= $ms } @{ $self->{events} };
		($pid, $last) = ($new_pid, $ms);
	}
	push @{ $self->{events} }, @selves;
	$self->{ends} = [ sort { $a->[2] <=> $b->[2] } grep { $self->ends($_) } @{ $self->{events} } ];
	return;
}

sub ends { return $_[1][0] eq 'self' || $faults{ $_[1][0] }{ends}; }

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

# Did the publisher read from tables then, not from a slot?
sub recovering
{
	my ($self, $ms) = @_;
	my ($slot) = reverse grep { $_->[0] eq 'slot' && $_->[2] < $ms } @{ $self->{ends} };
	my $seen = $self->{seen};

	return 0 unless $slot;
	for (my $i = last_before($seen, $ms); $i >= 0 && $seen->[$i][0] > $slot->[2]; $i--)
	{
		return 0 if $seen->[$i][1];
	}
	return 1;
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
			$self->check_order($what, "$topic $key", $topic * 100 + $partition, $transaction, $number, $n, $turn);
		}
		vec($transaction->[TIMES], $n, 32) = $time > $before ? $time : $before;
	}
	return;
}

# First appearances: in the order of commits for a key, in the order of
# sending for a transaction.
sub check_order
{
	my ($self, $what, $key, $partition, $transaction, $number, $n, $turn) = @_;
	my $late = $transaction->[PLACE] != $number;
	my $place = $turn || $transaction->[PLACE];
	my $numbers = $transaction->[NUMBERS] //= {};
	my $wrong = $n < ($numbers->{$partition} // 0) ? 'within its transaction' : undef;

	$numbers->{$partition} = $n;
	delete $transaction->[NUMBERS] if $transaction->[RECORDS] == 1;

	# Rows from a table go by id: transactions that overlapped may swap.
	unless ($late && ($self->{has_slot_loss} //= 0 + grep { $_->[0] eq 'slot' } @{ $self->{events} }))
	{
		my $last = $self->{keys}{$key} //= [ 0, 0 ];
		if ($place < $last->[0] || ($place == $last->[0] && $n < $last->[1]))
		{
			$wrong //= "for its key \"$key\", behind transaction $last->[0]";
		}
		else
		{
			@$last = ($place, $n);
		}
	}
	return unless $wrong;
	$self->{figures}{reordered}++;
	$self->problem("$what is out of order $wrong");
	return;
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
	my ($slot) = grep { $_->[0] eq 'slot' } @between;
	my $event = $slot || $between[0];
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
	if ($slot || ($event->[3] //= $self->recovering($event->[1])))
	{
		$self->excess($what, 'was known to be published when the slot was lost')
		  if $self->stored($event->[1] - 1000, $txid);
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

# What may come again: what was not confirmed then, by the view, and what was
# published in the last moments.
sub bound
{
	my ($self, $event) = @_;
	my $window = ($faults{ $event->[0] }{saves} ? 0 : $saved_every) + $slack;
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
		  sprintf('%s at %.3f s: %d, bound %s', $event->[0], ($event->[1] - $self->{start}) / 1000,
			$burst->{count}, $burst->{known} == $burst->{count} ? $bound : 'what was not stored');
		next if $burst->{known} <= $bound;
		$self->excess("$burst->{known} records", "came again after fault \"$event->[0]\" at $event->[1], more than $bound");
	}
	return;
}

1;
