# Kafka Connect with Debezium's connector for PostgreSQL, to compare with.
#
#	my $connect = kafka_connect($kafka, { name => 'orders', .. }, ..);
#	$connect->wait_until_streaming($node);
#
# Each hash has the properties of one connector.  Those of the worker are the
# usual defaults of Kafka Connect.

package Eventuate::Connect;

use strict;
use warnings;

use Eventuate::Broker ();
use PostgreSQL::Test::Utils ();

our @ISA = ('Eventuate::Broker');

sub write_properties
{
	my ($path, %properties) = @_;

	open(my $out, '>:encoding(UTF-8)', $path) or die "could not write $path: $!";
	# A backslash is an escape there.
	print $out map { "$_=" . ($properties{$_} =~ s/\\/\\\\/gr) . "\n" } sort keys %properties;
	close($out) or die "could not write $path: $!";
	return $path;
}

# The properties of a connector that reads one database of a server through
# its outbox event router; what is given besides overrides or adds.
sub router
{
	my ($node, $database, $table, %properties) = @_;
	my $name = $properties{name};

	return {
		'connector.class' => 'io.debezium.connector.postgresql.PostgresConnector',
		'tasks.max' => 1,
		'database.hostname' => '127.0.0.1',
		'database.port' => $node->port,
		'database.user' => getpwuid($>) . '',
		'database.password' => 'none is asked for',
		'database.dbname' => $database,
		'topic.prefix' => $name,
		'plugin.name' => 'pgoutput',
		'slot.name' => $name,
		'publication.name' => $name,
		'publication.autocreate.mode' => 'filtered',
		'table.include.list' => $table,
		'snapshot.mode' => 'no_data',
		'poll.interval.ms' => 20,
		'key.converter' => 'org.apache.kafka.connect.storage.StringConverter',
		'value.converter' => 'org.apache.kafka.connect.storage.StringConverter',
		'transforms' => 'outbox',
		'transforms.outbox.type' => 'io.debezium.transforms.outbox.EventRouter',
		%properties
	};
}

sub new
{
	my ($class, $kafka, @connectors) = @_;
	my $self = bless {}, $class;
	my $jars = $ENV{EVENTUATE_CONNECT_JARS} || `script/jars t/connect`;
	chomp $jars;
	die "Kafka Connect is missing: see script/jars\n" unless -d $jars;
	my $home = PostgreSQL::Test::Utils::tempdir('connect');
	my ($port, $socket) = Eventuate::Broker::free_port();

	my @files = (
		write_properties(
			"$home/worker.properties",
			'bootstrap.servers' => $kafka->brokers,
			'listeners' => "http://127.0.0.1:$port",
			'key.converter' => 'org.apache.kafka.connect.storage.StringConverter',
			'value.converter' => 'org.apache.kafka.connect.storage.StringConverter',
			'offset.storage.file.filename' => "$home/offsets",
			'offset.flush.interval.ms' => 200,
			'plugin.discovery' => 'service_load'),
		map { write_properties("$home/$_->{name}.properties", %$_) } @connectors);
	close $socket;
	$self->{names} = [ map { $_->{name} } @connectors ];
	$self->{log} = "$PostgreSQL::Test::Utils::log_path/connect_$port.log";
	$self->launch(
		'/dev/null', $self->{log}, 'java', '-Xmx512m', '-XX:-UsePerfData', '-XX:+UseSerialGC',
		'-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.showDateTime=true',
		'-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
		'-Dorg.slf4j.simpleLogger.log.io.debezium.connector.postgresql=info',
		'-cp', "$jars/*", 'org.apache.kafka.connect.cli.ConnectStandalone', @files);
	return $self;
}

# Waits until each connector reads from its slot in the server.
sub wait_until_streaming
{
	my ($self, $node) = @_;
	my $names = join ',', map { "'$_'" } @{ $self->{names} };

	Eventuate::wait_until(
		'connectors that stream',
		sub {
			die 'Kafka Connect has ended: ' . substr($self->log_contents, -2000) . "\n" unless $self->running;
			return $node->safe_psql('postgres',
				"SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name IN ($names)") == @{ $self->{names} };
		});
	return;
}

sub stop
{
	return $_[0]->end('TERM');
}

1;
