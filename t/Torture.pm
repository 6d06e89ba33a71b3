# Clients send while everything dies; then what is on Kafka is compared with
# what the database says.
#
#	my $torture = Torture->new(node => $node, kafka => $kafka, seed => 1);
#	$torture->begin;
#	$torture->break_things(kills => 20, seconds => 30);
#	$torture->settle;
#	my $figures = Torture::Check::check($torture->evidence);
#
# The node is a primary.  With standby => 1 it has a synchronous standby, the
# primary may fail over to it, and $torture->{node} is another then; the new one
# gets a standby of its own.  A real Kafka is proxied.
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
use Torture::Check ();
use Torture::Faults;

our @topics = map { "torture.$_" } 0 .. 2;
our $partitions = 4;
our %faults;

# What of the evidence is said of the server, whichever is the primary.
my $connection = 'service=torture';

# ---------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		clients => 5, pause => 40, seed => 1, events => [], later => [], reset => 0, unanswered => 0, %options
	}, $class;
	my ($test) = $0 =~ m{([^/]+?)(\.pl)?$};
	our $count;

	$self->{directory} = "$PostgreSQL::Test::Utils::log_path/${test}_seen" . ++$count;
	mkdir $self->{directory};
	$self->{name} = $self->{node}->name;
	$self->{proxy} = $self->mock ? $self->{kafka} : $self->{kafka}->proxy;
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
		$ENV{PGSERVICEFILE} = "$self->{directory}/service";
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

# Tables, the standby, clients, and who looks at them.
sub begin
{
	my ($self) = @_;

	$self->{node}->safe_psql('postgres', q{
		CREATE TABLE truth (client int, transaction int, records int, turn bigint DEFAULT 0,
			txid xid8 DEFAULT pg_current_xact_id());
		CREATE TABLE turn (n bigint);
		INSERT INTO turn VALUES (0);});
	# In a partition that is only being made a second request may pass the first.
	$self->{kafka}->create_topic($_, $self->mock ? $partitions : 4) foreach @topics;
	# The mock's are small: what it has is read before it forgets it.
	if ($self->mock)
	{
		pipe(my $in, $self->{reader}) or die "no pipe: $!";
		$self->launch('records', $in, 'read', $self->{kafka}->brokers, $partitions, @topics);
	}
	$self->publish_address;
	$self->add_standby if $self->{standby};
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

sub stop_servers
{
	my ($self) = @_;
	$_->stop('immediate') foreach grep { ref } @$self{qw(node standby)};
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
		$self->launch('records', '/dev/null', $self->{exactly_once} ? 'read-committed' : 'read',
			$self->{kafka}->brokers, $partitions, @topics);
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

sub state
{
	my ($self) = @_;
	return Eventuate::ask($self->{node}, 'postgres', 'SELECT state FROM pg_stat_eventuate') // '';
}

# kills: as many faults; seconds: but not longer; only: a list of kinds; must:
# some that are among them in any case.
sub break_things
{
	my ($self, %options) = @_;
	foreach my $kind (@{ $options{only} || [] })
	{
		die "there is no fault \"$kind\"\n" unless $faults{$kind};
	}
	my @must = @{ $options{must} || [] };
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
		my $due = @must && $kills % 3 == 1;
		next unless $self->fault($due ? $must[0] : pick(@bag));
		shift @must if $due;
		$kills++;
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
		exactly_once => $self->{exactly_once},
		journals => [ map { lines("$directory/client$_", qr/ /) } 1 .. $self->{clients} ],
		truth => lines("$directory/truth", qr/ /),
		samples => lines("$directory/samples", qr/\t/),
		records => lines("$directory/records", qr/ /));
}

1;
