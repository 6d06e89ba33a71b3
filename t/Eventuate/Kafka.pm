# A real broker, alone or one of a cluster.

package Eventuate::Kafka;

use strict;
use warnings;

use Eventuate::Broker ();
use Eventuate::Proxy ();
use IPC::Run ();
use JSON::PP ();

our @ISA = ('Eventuate::Broker');

# Ports nobody else has, held until the brokers take them.
sub ports
{
	my ($count) = @_;
	my @pairs = map { [ Eventuate::Broker::free_port() ] } 1 .. $count;
	return ([ map { $_->[1] } @pairs ], map { $_->[0] } @pairs);
}

sub new
{
	my ($class, %options) = @_;
	my ($sockets, $port, $controller) = ports(2);
	my $self = $class->prepare(
		%options,
		id => 1,
		port => $port,
		controllers => [$controller],
		memory => '512m');

	close $_ foreach @$sockets;
	$self->start;
	return $self;
}

sub listeners_at
{
	my (%addresses) = @_;
	return join ',', map { "$_://$addresses{$_}" } sort keys %addresses;
}

# Write its configuration and format its data.
sub prepare
{
	my ($class, %options) = @_;
	my $self = bless {}, $class;
	my %listeners = (%{ $options{listeners} || {} }, $options{proxied} ? (PROXIED => 'PLAINTEXT') : ());
	my ($id, @controllers) = ($options{id}, @{ $options{controllers} });
	my $replicas = @controllers;
	my $voters = join ',', map { "$_\@127.0.0.1:$controllers[$_ - 1]" } 1 .. $replicas;

	$self->{jars} = $ENV{EVENTUATE_KAFKA_JARS} || `script/kafka`;
	chomp $self->{jars};
	die "Kafka is missing: see script/kafka\n" unless -d $self->{jars};
	$self->{brokers} = "127.0.0.1:$options{port}";
	$self->{memory} = $options{memory};
	$self->{replicas} = $replicas;
	$self->{log} = $self->path('kafka');
	$self->{home} = $options{home} || $self->path('kafka-home');
	$self->{addresses} = { PLAINTEXT => $self->{brokers} };
	my ($sockets, @ports) = ports(scalar keys %listeners);
	$self->{addresses}{$_} = '127.0.0.1:' . shift @ports foreach sort keys %listeners;
	my $bound = listeners_at(%{ $self->{addresses} });
	if ($options{proxied})
	{
		$self->{proxy} = Eventuate::Proxy->new($self->{addresses}{PROXIED});
		$self->{addresses}{PROXIED} = $self->{proxy}->brokers;
	}
	my $advertised = listeners_at(%{ $self->{addresses} });
	my $protocols = join ',', 'CONTROLLER:PLAINTEXT', 'PLAINTEXT:PLAINTEXT',
	  map { "$_:$listeners{$_}" } sort keys %listeners;
	my $in_sync = $replicas > 1 ? 2 : 1;

	open(my $conf, '>', "$self->{home}/server$id.properties")
	  or die "could not write to $self->{home}: $!";
	print $conf <<"END", $options{conf} // '';
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=$bound,CONTROLLER://127.0.0.1:$controllers[$id - 1]
advertised.listeners=$advertised
listener.security.protocol.map=$protocols
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$self->{home}/data$id
log.retention.ms=-1
num.partitions=4
default.replication.factor=$replicas
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=2000
END
	close $conf;
	$self->{conf} = "$self->{home}/server$id.properties";

	$self->java('kafka.tools.StorageTool', 'format', '-t',
		'ZXZlbnR1YXRlLXRlc3RzLQ', '-c', $self->{conf}, @{ $options{format} || [] });
	close $_ foreach @$sockets;
	return $self;
}

# The command line of one of Kafka's programs.
sub class
{
	my ($self, @arguments) = @_;
	return (
		'java', "-Xmx$self->{memory}", '-XX:-UsePerfData', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
		'-Dorg.slf4j.simpleLogger.showDateTime=true',
		'-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
		'-cp', "$self->{jars}/*", @arguments);
}

sub java
{
	my ($self, @arguments) = @_;
	my $output = '';

	IPC::Run::run([ $self->class(@arguments) ],
		'<', \undef, '>&', \$output)
	  or die "$arguments[0] failed: $output\n";
	return;
}

sub address
{
	return $_[0]{addresses}{ $_[1] } || die "no listener $_[1]\n";
}

sub proxy
{
	return $_[0]{proxy};
}

sub launch_broker
{
	my ($self) = @_;
	return $self->launch('/dev/null', $self->{log}, $self->class('kafka.Kafka', $self->{conf}));
}

# Until it says that it is there itself.
sub wait_for_answer
{
	my ($self) = @_;

	Eventuate::wait_until(
		"Kafka at $self->{brokers}",
		sub {
			die 'Kafka did not start: ' . $self->log_contents . "\n"
			  unless $self->running;
			my $out = '';
			return IPC::Run::run(
				[ 'kcat', '-L', '-m', 5, '-b', $self->{brokers} ],
				'<', \undef, '>', \$out, '2>', '/dev/null')
			  && $out =~ / at \Q$self->{brokers}\E/;
		});
	return;
}

sub start
{
	my ($self) = @_;

	$self->launch_broker;
	$self->wait_for_answer;
	return;
}

sub stop
{
	return $_[0]->end('TERM');
}

# Until the leader of each of its partitions is at work, a little behind what the
# cluster's metadata say.
sub create_topic
{
	my ($self, $name, $partitions, @configs) = @_;

	$partitions ||= 4;
	$self->java(
		'org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $self->brokers,
		'--create', '--topic', $name, '--partitions', $partitions,
		'--replication-factor', $self->{replicas}, map { ('--config', $_) } @configs);
	Eventuate::wait_until(
		"the partitions of $name",
		sub {
			my $out = '';
			IPC::Run::run(
				[ 'kcat', '-Q', '-b', $self->brokers, map { ('-t', "$name:$_:-1") } 0 .. $partitions - 1 ],
				'<', \undef, '>', \$out, '2>', '/dev/null');
			$Eventuate::seen = $out;
			return (() = $out =~ / offset \d+$/mg) == $partitions;
		});
	return;
}

sub alter
{
	my ($self, @arguments) = @_;
	return $self->java('kafka.admin.ConfigCommand', '--bootstrap-server', $self->brokers,
		'--alter', @arguments);
}

sub partitions
{
	my ($self, $topic) = @_;
	my $out = '';

	IPC::Run::run(
		[ 'kcat', '-L', '-J', '-m', 10, '-b', $self->brokers, '-t', $topic ],
		'<', \undef, '>', \$out, '2>', '/dev/null') or return ();
	my ($found) = grep { $_->{topic} eq $topic } @{ JSON::PP::decode_json($out)->{topics} };
	return map { ($_->{partition} => { %$_, isrs => [ map { $_->{id} } @{ $_->{isrs} } ] }) }
	  @{ $found->{partitions} };
}

1;
