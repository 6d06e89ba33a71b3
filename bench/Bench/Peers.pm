# What others bring an outbox to Kafka with, on the same server and Kafka.

package Bench::Peers;

use strict;
use warnings;

use Bench;
use Eventuate::Connect ();
use IPC::Run ();

# pg_recvlogical with wal2json, piped into kcat; finish() when it ends by
# itself (--endpos), stop() else.
sub wal2json
{
	my ($node, $kafka, $slot, $topic, @arguments) = @_;
	my $self = bless { node => $node, slot => $slot }, 'Bench::Peers::Pipe';
	my @before = times;

	$self->{before} = $before[2] + $before[3];
	$self->{run} = IPC::Run::start(
		[
			'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', $slot, '--start', '-f', '-', '--no-loop',
			'-o', 'format-version=2', '-o', 'add-tables=eventuate.message', '-o', 'include-transaction=false', @arguments
		],
		'<', \undef, '2>', '/dev/null', '|',
		[
			'kcat', '-P', '-b', $kafka->brokers, '-t', $topic,
			'-X', 'enable.idempotence=true', '-X', 'linger.ms=5'
		],
		'>', '/dev/null', '2>', '/dev/null');
	return $self;
}

our %default = (
	'poll.interval.ms' => 500,
	'offset.flush.interval.ms' => 60000);
our %tuned = (
	'poll.interval.ms' => 5,
	'max.batch.size' => 20000,
	'max.queue.size' => 100000,
	'extended.headers.enabled' => 'false',
	'producer.override.linger.ms' => 5,
	'producer.override.compression.type' => 'lz4',
	'producer.override.batch.size' => 262144);

# Debezium's PostgreSQL connector with its outbox event router in a standalone
# Kafka Connect, which runs as its users run it; wants publication "bench".
sub debezium
{
	my ($node, $kafka, $slot, %properties) = @_;

	my $connect = Bench::Peers::Connect->new($kafka,
		Eventuate::Connect::router($node, 'postgres', 'eventuate.message',
			'name' => $slot,
			'publication.name' => 'bench',
			'publication.autocreate.mode' => 'disabled',
			'transforms.outbox.table.field.event.key' => 'id',
			'transforms.outbox.route.by.field' => 'destination',
			'transforms.outbox.route.topic.replacement' => '${routedByValue}',
			'transforms.outbox.table.fields.additional.placement' => 'headers:header',
			%properties));
	$connect->wait_until_streaming($node);
	return $connect;
}

# Runs CODE while eventuate is paused and, if START is given, a peer that it
# starts from a slot of PLUGIN takes its place; what CODE returns is returned.
# What was sent meanwhile eventuate publishes afterwards, unmeasured.
sub instead
{
	my ($node, $code, $plugin, $start) = @_;
	my $slot = 'instead';

	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	my $peer;
	if ($start)
	{
		$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('$slot', '$plugin')");
		$peer = $start->($slot);
	}
	my @figures = $code->();
	if ($start)
	{
		$peer->stop;
		wait_for_query($node, 'postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'");
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
	}
	$node->safe_psql('postgres', 'SELECT eventuate_resume()');
	wait_caught_up($node);
	return @figures;
}

package Bench::Peers::Connect;

our @ISA;
BEGIN { @ISA = ('Eventuate::Connect') }

# With the JVM's own compiler and collector.
sub launch
{
	my ($self, @command) = @_;
	return $self->SUPER::launch(map { /^-Xmx/ ? '-Xmx2g' : $_ } grep { !/UseSerialGC|TieredStopAtLevel/ } @command);
}

package Bench::Peers::Pipe;

# CPU seconds of the server's process, which is gone when the pipe is.
sub look_at_walsender
{
	my ($self) = @_;
	my $pid = $self->{walsender} //= Eventuate::ask($self->{node}, 'postgres',
		"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$self->{slot}'") || return;

	$self->{cpu} = Bench::cpu_of($pid) if -e "/proc/$pid/stat";
	return;
}

# CPU seconds of the server's process and of the pipe.
sub finish
{
	my ($self) = @_;

	while ($self->{run}->pumpable)
	{
		$self->look_at_walsender;
		Time::HiRes::sleep(0.1);
		$self->{run}->reap_nb;
		last unless grep { defined $_->{PID} && !defined $_->{RESULT} } @{ $self->{run}{KIDS} };
	}
	$self->{run}->finish;
	my @after = times;
	return ($self->{cpu}, $after[2] + $after[3] - $self->{before});
}

sub stop
{
	my ($self) = @_;

	$self->{run}->kill_kill;
	return;
}

1;
