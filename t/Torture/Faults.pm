# What dies, and how: the faults of the torture checker.  These are methods of
# Torture.

package Torture;

use strict;
use warnings;

use Eventuate ();
use File::Path ();
use IO::File;
use Time::HiRes qw(sleep time);

# Faults, and how often each is chosen.  "ends" the publisher's session,
# "saves" its slot before, or "loses" the slot.
our %faults = (
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
	reset => { weight => 10 },
	standby => { weight => 4 },
	promote => { weight => 5, ends => 1, loses => 1 },
	slot => { weight => 4, ends => 1, loses => 1 });

my $publisher = qr/eventuate publisher/;
my $session = qr/^(?!.*walsender).*\[local\]/s;
my $sender = qr/walsender/;

# Each returns false if it could not be done now.
my %actions = (
	publisher => sub { $_[0]->kill_one('KILL', $publisher) },
	launcher => sub { $_[0]->kill_one('KILL', qr/eventuate launcher/) },
	backend => sub { $_[0]->kill_one('KILL', $session) },
	terminate => sub { $_[0]->kill_one('TERM', $publisher) },
	session => sub { $_[0]->end_session },
	postmaster => sub {
		$_[0]->kill_postmaster(0);
		$_[0]->start_node;
	},
	everything => sub {
		$_[0]->kill_postmaster(1);
		$_[0]->start_node;
	},
	restart => sub { $_[0]->restart('fast') },
	immediate => sub { $_[0]->restart('immediate') },
	slot => sub { $_[0]->drop_slot },
	promote => sub { $_[0]->fail_over },
	reset => sub { $_[0]->reset_connections },
	# These last while others happen.
	broker => sub { $_[0]->stop_broker },
	freeze => sub { $_[0]->freeze_broker },
	standby => sub { $_[0]->freeze_standby });

# Does it now; false if it could not be done.
sub fault
{
	my ($self, $kind) = @_;

	push @{ $self->{events} }, [ $kind, now_ms() ];
	if ($actions{$kind}->($self))
	{
		$self->end_event;
		my $log = IO::File->new("$self->{directory}/events", '>>');
		print $log join(' ', @{ $self->{events}[-1] }), "\n";
		return 1;
	}
	pop @{ $self->{events} };
	return;
}

# Its begin, where there was something to prepare; and when the publisher was
# gone.
sub begin_event
{
	my ($self) = @_;
	$self->{events}[-1][1] = now_ms();
	return;
}

sub end_event
{
	my ($self) = @_;
	$self->{events}[-1][2] //= now_ms();
	return 1;
}

# Something that ends later.  "always": also when the test dies.
sub later
{
	my ($self, $seconds, $code, $always) = @_;
	return push @{ $self->{later} }, [ time + $seconds, $code, $always ];
}

# What is due of that; or all.
sub do_later
{
	my ($self, $all) = @_;
	my @later = @{ $self->{later} };

	$self->{later} = [ grep { !$all && $_->[0] > time } @later ];
	$_->[1]->() foreach sort { $a->[0] <=> $b->[0] } grep { $all || $_->[0] <= time } @later;
	return;
}

sub pick { return $_[ rand @_ ]; }

# ---------------------------------------------------------------------
# Processes of a server
# ---------------------------------------------------------------------

# The primary's, unless another is named: [pid, title].
sub children
{
	my ($self, $node) = @_;
	my $postmaster = ($node || $self->{node})->{_pid} or return ();
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
	my ($self, $pattern, $node) = @_;
	return map { $_->[0] } grep { $_->[1] =~ $pattern } $self->children($node);
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

sub end_session
{
	my ($self) = @_;
	my @pids = $self->pids($session) or return;
	return CORE::kill('TERM', pick(@pids));
}

sub start_node
{
	my ($self) = @_;

	foreach my $try (1 .. 3)
	{
		return 1 if $self->{node}->start(fail_ok => 1);
	}
	die "the server does not start\n";
}

sub restart
{
	my ($self, $mode) = @_;

	# A fast shutdown waits for the standby.
	$self->continue_sender;
	$self->{node}->stop($mode);
	$self->end_event;
	return $self->start_node;
}

# kill -9 of the postmaster, perhaps with all its children.
sub kill_postmaster
{
	my ($self, $children) = @_;
	my $postmaster = $self->{node}{_pid};
	my @pids = map { $_->[0] } $self->children;

	$self->{node}->kill9;
	CORE::kill('KILL', @pids) if $children && @pids;
	$self->continue_sender;
	wait_gone(@pids);
	$self->end_event;
	# The next one looks whether this one is there, buried or not.
	Eventuate::wait_until('the burial of the postmaster', sub { !CORE::kill(0, $postmaster) });
	return;
}

# By hand, or while the server is down.
sub drop_slot
{
	my ($self) = @_;

	if (rand() < 0.5)
	{
		$self->kill_postmaster(1);
		File::Path::remove_tree(glob $self->{node}->data_dir . '/pg_replslot/eventuate_*');
		return $self->start_node;
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

# ---------------------------------------------------------------------
# The broker, and the way to it
# ---------------------------------------------------------------------
sub stop_broker
{
	my ($self) = @_;
	my $kafka = $self->{kafka};

	return if @{ $self->{later} };
	# A mock would lose its data.
	$self->mock ? $kafka->stop : $kafka->kill;
	return $self->later(rand 3, sub { $kafka->start });
}

sub freeze_broker
{
	my ($self) = @_;
	my $kafka = $self->{kafka};

	return if @{ $self->{later} };
	$kafka->freeze;
	return $self->later(rand() < 0.7 ? rand 1 : rand 6, sub { $kafka->thaw }, 1);
}

# Half of the time it is the next answer of Kafka that does not arrive: what
# was sent is stored there, and nobody knows.
sub reset_connections
{
	my ($self) = @_;

	return if @{ $self->{later} };
	my ($connections, $requests) = $self->{proxy}->reset(rand() < 0.5);
	$self->{reset} += $connections;
	$self->{unanswered} += $requests;
	return $connections;
}

# ---------------------------------------------------------------------
# The standby
# ---------------------------------------------------------------------

# The server that clients find by its name, whoever that is.
sub publish_address
{
	my ($self) = @_;
	my $file = "$self->{directory}/service";
	my $out = IO::File->new("$file.new", '>') or die "could not write $file: $!";

	printf $out "[torture]\nhost=%s\nport=%s\ndbname=postgres\n", $self->{node}->host, $self->{node}->port;
	close $out;
	rename("$file.new", $file) or die "could not rename $file: $!";
	return;
}

# From a base backup; synchronous from now on.
sub add_standby
{
	my ($self) = @_;
	my $primary = $self->{node};
	my $name = $self->{name} . '_standby' . ++$self->{standbys};
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$primary->backup($name);
	$standby->init_from_backup($primary, $name, has_streaming => 1);
	File::Path::remove_tree($primary->backup_dir . "/$name");
	$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''\nwal_retrieve_retry_interval = 100ms\n");
	$standby->start;
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = '$name'");
	$primary->reload;
	$self->{standby} = $standby;
	return;
}

# What was answered so far is on the standby.
sub wait_in_step
{
	my ($self) = @_;
	my $position = Eventuate::wait_until('the end of WAL',
		sub { Eventuate::ask($self->{node}, 'postgres', 'SELECT pg_current_wal_insert_lsn()') });

	Eventuate::wait_for_query($self->{node}, 'postgres',
		"SELECT coalesce(bool_or(sync_state = 'sync' AND flush_lsn >= '$position'), false) FROM pg_stat_replication");
	return;
}

# The standby gets nothing; who commits waits for it.
sub stop_sender
{
	my ($self) = @_;
	my @pids = $self->pids($sender) or return;

	CORE::kill('STOP', @pids);
	$self->{stopped} = \@pids;
	return 1;
}

sub continue_sender
{
	my ($self) = @_;
	CORE::kill('CONT', grep { alive($_) } @{ delete $self->{stopped} || [] });
	return;
}

sub freeze_standby
{
	my ($self) = @_;

	return if @{ $self->{later} } || !$self->{standby} || !$self->stop_sender;
	return $self->later(rand 2, sub { $self->continue_sender }, 1);
}

# The primary dies, mostly with commits that only it has: those that wait for
# the standby, and those of sessions that were ended while they waited, which
# everybody could see.  Nothing of them may be on Kafka.
sub fail_over
{
	my ($self) = @_;
	my ($old, $new) = ($self->{node}, $self->{standby});

	return unless $new;
	$self->continue_sender;
	$self->wait_in_step;
	$self->begin_event;
	if (rand() < 0.8 && $self->stop_sender)
	{
		sleep rand 0.5;
		$self->end_session if rand() < 0.7;
		sleep rand 0.3;
	}
	$self->kill_postmaster(1);
	$new->promote;
	$self->{node} = $new;
	$self->publish_address;
	$old->clean_node;
	$self->add_standby;
	return 1;
}

1;
