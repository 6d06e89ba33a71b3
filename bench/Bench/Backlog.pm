# A backlog of WAL that can be drained again and again, by copies of slots that
# were made before it was written.

package Bench::Backlog;

use strict;
use warnings;

use Bench;
use File::Copy ();
use Time::HiRes qw(time);

# Bench::Backlog->new($kafka, $node, 'topic', $rows, $per_transaction, 'plugin' ...);
# a multiple of 4 * $per_transaction rows.
sub new
{
	my ($class, $kafka, $node, $topic, $rows, $per_transaction, @plugins) = @_;
	my $self = bless { kafka => $kafka, node => $node, topic => $topic, rows => $rows }, $class;
	my $script = send_script($topic, $per_transaction > 1 ? $per_transaction : 0);

	bench_topic($kafka, $topic);
	($self->{slot}) = $node->safe_psql('postgres', q{SELECT slot_name FROM pg_stat_eventuate WHERE datname = 'postgres'});
	$self->pause;
	foreach my $plugin (@plugins)
	{
		my $name = "base_$plugin";
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$name'");
		$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('$name', '$plugin')");
	}
	$self->save_slot;
	local $ENV{PGOPTIONS} = '-c synchronous_commit=off';
	pgbench($node, '-c', 4, '-j', 2, '-t', $rows / $per_transaction / 4, '-f', $script);
	delete local $ENV{PGOPTIONS};
	$node->safe_psql('postgres', 'CHECKPOINT');
	$self->{end} = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
	$self->warm_up;
	return $self;
}

# The broker's virtual machine compiles what it does often, and again what it does
# in another way than it expected: beside what is measured, and for many rounds.
# One that has run for a while does not.
sub warm_up
{
	my ($self) = @_;
	my $kafka = $self->{kafka};
	my ($rounds, $quiet) = (0, 0);

	return unless $kafka->can('compiling');
	while ($quiet < 2 && $rounds++ < 25)
	{
		my $before = $kafka->compiling;
		$self->bare;
		$self->bare('lz4');
		$self->eventuate;
		$self->exactly_once;
		my $took = $kafka->compiling - $before;
		$quiet = $took < 0.15 ? $quiet + 1 : 0;
		diag(sprintf "warmed up, round %d: the broker's compilers took %.2f s", $rounds, $took);
	}
	return;
}

sub pause
{
	my ($self) = @_;

	$self->{node}->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($self->{node}, 'postgres', 'paused');
	return;
}

# The publisher's own slot nobody else may make: it is copied, and put back,
# as files of a server that does not run.
sub save_slot
{
	my ($self) = @_;
	my ($node, $name) = ($self->{node}, 'base_wal');

	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$name'");
	# Keeps the WAL.
	$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('$self->{slot}', '$name')");
	$self->{saved} = PostgreSQL::Test::Utils::tempdir() . '/slot';
	$node->stop;
	File::Copy::copy($self->slot_path, $self->{saved}) or die "could not copy the slot: $!";
	$node->start;
	return;
}

sub slot_path
{
	my ($self) = @_;
	return $self->{node}->data_dir . "/pg_replslot/$self->{slot}/state";
}

sub restore_slot
{
	my ($self) = @_;

	$self->{node}->stop;
	File::Copy::copy($self->{saved}, $self->slot_path) or die "could not copy the slot: $!";
	$self->{node}->start;
	return;
}

# Runs CODE with the name of a slot that has all of the backlog before it.
sub with_slot
{
	my ($self, $plugin, $code) = @_;
	my ($node, $slot) = ($self->{node}, "drain_$plugin");

	$node->safe_psql('postgres', "SELECT pg_copy_logical_replication_slot('base_$plugin', '$slot')");
	my @result = $code->($slot);
	wait_for_query($node, 'postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'");
	$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	return @result;
}

# Each of these returns figures of one drain.

sub rate
{
	my ($self, $seconds) = @_;
	return ('messages/s' => $self->{rows} / $seconds);
}

# Decoding in the process that only counts: what nothing can be faster than.
sub count
{
	my ($self) = @_;

	return $self->with_slot('count_decode', sub {
			my $start = time;
			$self->{node}->psql('postgres', "SELECT count(*) FROM pg_logical_slot_get_changes('$_[0]', '$self->{end}', NULL)", stderr => \my $told);
			my $seconds = time - $start;
			die "counted $told" unless $told =~ /NOTICE:  (\d+) rows/ && $1 >= $self->{rows};
			return $self->rate($seconds);
		});
}

# A resumed publisher is a new process: all it has used, it has used for this.
sub eventuate
{
	my ($self) = @_;
	my $node = $self->{node};

	$self->restore_slot;
	# One session that waits: asking again and again takes CPU from what is measured.
	my ($seconds) = arrival_of($self->{kafka}, $self->{topic}, $self->{rows},
		sub { $node->safe_psql('postgres', "SELECT eventuate_resume(); SELECT eventuate_wait('$self->{end}', '5 min')") });
	my $pid = publisher_pid($node);
	my ($cpu, $peak) = (cpu_of($pid), peak_of($pid));
	$self->pause;
	return ($self->rate($seconds), 'CPU us a message' => $cpu * 1e6 / $self->{rows}, 'MB' => $peak);
}

# The same with Kafka's transactions, whose position has to go back as well.
sub exactly_once
{
	my ($self) = @_;
	my ($node, $kafka) = ($self->{node}, $self->{kafka});
	my $group = $node->safe_psql('postgres',
		q{SELECT format('eventuate-%s-%s', system_identifier, oid) FROM pg_control_system(), pg_database WHERE datname = 'postgres'});

	$kafka->java('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', '--bootstrap-server', $kafka->brokers,
		'--delete', '--group', $group) if $self->{positioned}++;
	return with_setting($node, 'eventuate.exactly_once = on', sub { return $self->eventuate })->();
}

# pg_recvlogical and wal2json, piped into kcat.
sub wal2json
{
	my ($self) = @_;
	my ($node, $kafka) = ($self->{node}, $self->{kafka});

	return $self->with_slot('wal2json', sub {
			my ($slot) = @_;
			my ($seconds, $walsender, $cpu) = arrival_of($kafka, $self->{topic}, $self->{rows}, sub {
					my $pipe = Bench::Peers::wal2json($node, $kafka, $slot, $self->{topic}, '--endpos', $self->{end});
					return $pipe->finish;
				});
			return ($self->rate($seconds), 'CPU us a message' => ($walsender + $cpu) * 1e6 / $self->{rows});
		});
}

# Debezium in Kafka Connect.
sub debezium
{
	my ($self, %properties) = @_;
	my $node = $self->{node};

	return $self->with_slot('pgoutput', sub {
			my ($slot) = @_;
			my ($seconds, $connect, $cpu) = arrival_of($self->{kafka}, $self->{topic}, $self->{rows}, sub {
					my $started = Bench::Peers::debezium($node, $self->{kafka}, $slot, %properties);
					return ($started, cpu_of($started->pid));
				});
			# Without what it takes to start.
			$cpu = cpu_of($connect->pid) - $cpu;
			my $peak = peak_of($connect->pid);
			$connect->stop;
			return ($self->rate($seconds), 'CPU us a message' => $cpu * 1e6 / $self->{rows}, 'MB' => $peak);
		});
}

# librdkafka alone, with the same records, compressed or not.
sub bare
{
	my ($self, @codec) = @_;
	my ($seconds) = arrival_of($self->{kafka}, $self->{topic}, $self->{rows},
		sub { run_command('bench/produce', $self->{kafka}->brokers, $self->{topic}, $self->{rows}, @codec) });
	return $self->rate($seconds);
}

1;
