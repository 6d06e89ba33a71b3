# Services on Eventuate Tram: real ones, in Java, on the newest and on the
# oldest version.  What they do is in t/java/Service.java and LockingSaga.java.
#
#	my %service = tram_services($kafka,
#		{ name => 'orders', tram => 'newest', node => $node, database => 'eventuate', user => 'app' }, ..);
#		# with properties of its own: properties => ['eventuate.outbox.id=7'],
#		# and with more in its JDBC URL: url => '&autosave=always'
#	$service{orders}->order('publish', 'order-1', 0, 3);
#	$service{orders}->wait_for('event|order-1|0');

package Tram;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils ();

use Eventuate;

our @EXPORT = qw(tram_services create_tram_outbox create_tram_shards create_tram_tables);

# Each version has class files of its own: { version => class path }
my %class_path;

sub compile
{
	my (@versions) = @_;
	my $jars = $ENV{EVENTUATE_TRAM_JARS} || `script/jars t/java`;
	chomp $jars;
	die "Eventuate Tram is missing: see script/jars\n" unless -d $jars;

	my %run;
	foreach my $version (@versions)
	{
		my $classes = PostgreSQL::Test::Utils::tempdir("tram-$version");
		$class_path{$version} = "$classes:$jars/tram-$version/*";
		my $run = $run{$version} = { output => '' };
		$run->{run} = IPC::Run::start(
			[
				'javac', '--release', '11', '-Xlint:-options', '-encoding', 'UTF-8',
				'-cp', $class_path{$version}, '-d', $classes, glob('t/java/*.java')
			],
			'<', \undef, '>&', \$run->{output});
	}
	foreach my $version (@versions)
	{
		$run{$version}{run}->finish
		  or die "t/java does not compile with the $version Tram: $run{$version}{output}\n";
	}
	return;
}

# Starts services at the same time; returns { name => service }.
sub tram_services
{
	my ($kafka, @services) = @_;
	my %versions = map { ($_->{tram} => 1) } @services;

	compile(grep { !$class_path{$_} } sort keys %versions);
	my %started = map { ($_->{name} => Tram::Service->new($kafka, %$_)) } @services;
	$_->wait_for('ready') foreach values %started;
	return %started;
}

# The outbox as Eventuate's scripts make it.
sub create_tram_outbox
{
	my ($node, $database) = @_;
	$node->safe_psql(
		$database, q{
		CREATE SCHEMA eventuate;
		CREATE TABLE eventuate.message (
			id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL,
			published smallint DEFAULT 0, message_partition smallint, creation_time bigint);
		CREATE INDEX message_published_idx ON eventuate.message (published, id);
		CREATE TABLE eventuate.cdc_monitoring (reader_id varchar(1000) PRIMARY KEY, last_time bigint);
		CREATE TABLE eventuate.offset_store (
			client_name varchar(255) NOT NULL PRIMARY KEY, serialized_offset varchar(255));});
	return;
}

# A schema with the outbox in shards, with columns of type json and with ids that
# the database gives; the user reads these from what it inserts.
sub create_tram_shards
{
	my ($node, $database, $schema, $user, $shards, $outbox_id) = @_;
	my $sql = "CREATE SCHEMA $schema;";

	# Producers look up the types of columns in the table without a number.
	foreach my $table ('message', map { "message$_" } 0 .. $shards - 1)
	{
		$sql .= qq{
			CREATE TABLE $schema.$table (
				dbid bigserial PRIMARY KEY, id varchar(1000), destination text NOT NULL, published smallint DEFAULT 0,
				message_partition smallint, creation_time bigint, payload json, headers json);
			GRANT SELECT, INSERT ON $schema.$table TO $user;
			GRANT USAGE ON SEQUENCE $schema.${table}_dbid_seq TO $user;
			SELECT eventuate_attach('$schema.$table', 'eventuate', outbox_id => $outbox_id);};
	}
	$node->safe_psql($database, $sql);
	return;
}

# What services keep for themselves: which messages they have seen, and sagas.
# The user may do with that what services do.
sub create_tram_tables
{
	my ($node, $database, $schema, $user) = @_;
	$node->safe_psql(
		$database, qq{
		SET search_path = $schema;
		CREATE TABLE received_messages (
			consumer_id varchar(1000), message_id varchar(1000), creation_time bigint, published smallint DEFAULT 0,
			PRIMARY KEY (consumer_id, message_id));
		CREATE TABLE saga_instance (
			saga_type varchar(255) NOT NULL, saga_id varchar(100) NOT NULL, state_name varchar(100) NOT NULL,
			last_request_id varchar(100), end_state boolean, compensating boolean, failed boolean,
			saga_data_type varchar(1000) NOT NULL, saga_data_json varchar(1000) NOT NULL,
			PRIMARY KEY (saga_type, saga_id));
		CREATE TABLE saga_instance_participants (
			saga_type varchar(255) NOT NULL, saga_id varchar(100) NOT NULL, destination varchar(100) NOT NULL,
			resource varchar(100) NOT NULL, PRIMARY KEY (saga_type, saga_id, destination, resource));
		CREATE TABLE saga_lock_table (
			target varchar(100) PRIMARY KEY, saga_type varchar(255) NOT NULL, saga_id varchar(100) NOT NULL);
		CREATE TABLE saga_stash_table (
			message_id varchar(100) PRIMARY KEY, target varchar(100) NOT NULL, saga_type varchar(255) NOT NULL,
			saga_id varchar(100) NOT NULL, message_headers varchar(1000) NOT NULL, message_payload varchar(1000) NOT NULL);
		GRANT USAGE ON SCHEMA $schema TO $user;
		GRANT SELECT, INSERT, UPDATE, DELETE ON received_messages, saga_instance, saga_instance_participants,
			saga_lock_table, saga_stash_table TO $user;});
	return;
}

# ---------------------------------------------------------------------
package Tram::Service;

our @ISA = ('Eventuate::Broker');

use IO::Handle ();

# What it says goes to a file, complaints to another.
sub new
{
	my ($class, $kafka, %options) = @_;
	my $self = bless { name => $options{name} }, $class;

	$self->{log} = "$PostgreSQL::Test::Utils::log_path/tram_$options{name}.log";
	$self->{said} = PostgreSQL::Test::Utils::tempdir("tram-$options{name}") . '/said';
	PostgreSQL::Test::Utils::append_to_file($self->{said}, '');
	pipe(my $from_us, $self->{in}) or die "no pipe: $!";
	# Ids are made of it; services of one machine would give the same ones.
	our $mac_address;
	local $ENV{EVENTUATE_MAC_ADDRESS} = ++$mac_address;
	$self->launch(
		$from_us, $self->{said},
		'java', '-Xmx128m', '-XX:-UsePerfData', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
		'-Dstdout.encoding=UTF-8', '-Dfile.encoding=UTF-8',
		'-cp', $class_path{ $options{tram} }, 'eventuate.test.Service', $options{name},
		'jdbc:postgresql://127.0.0.1:' . $options{node}->port . "/$options{database}?user=$options{user}" . ($options{url} // ''),
		$kafka->brokers, map { "--$_" } @{ $options{properties} || [] });
	close $from_us;
	$self->{in}->autoflush(1);
	return $self;
}

# Have it do something; see obey() in t/java/Service.java.
sub order
{
	my ($self, @words) = @_;
	print { $self->{in} } "@words\n";
	return;
}

# Everything that it has said so far.
sub said
{
	my ($self) = @_;
	return map { /^> (.*)/ ? $1 : () } split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{said});
}

# The first thing it says that begins like this, waited for.
sub wait_for
{
	my ($self, $beginning) = @_;
	return Eventuate::wait_until(
		"\"$beginning\" from $self->{name}",
		sub {
			my @said = $self->said;
			my ($found) = grep { /^\Q$beginning\E(\||$)/ } @said;
			$Eventuate::seen = join "\n", @said;
			die "$self->{name} has ended: " . substr($self->log_contents, -2000) . "\n"
			  unless defined $found || $self->running;
			return $found;
		});
}

1;
