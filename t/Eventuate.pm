# What every TAP test of eventuate begins with.
#
#	use lib 't';
#	use Eventuate;
#
#	my $kafka = mock_kafka();		# or real_kafka()
#	my $node = new_node('main', kafka => $kafka);
#	wait_for_state($node, 'postgres', 'streaming');
#	$node->safe_psql('postgres', q{SELECT eventuate_send('orders', '{}')});
#	wait_caught_up($node);
#	my @records = consume($kafka, 'orders');
#	is($records[0]{value}, ...);
#	done_testing();
#
# Everything that waits does so for a condition, and dies with what it saw
# last when the deadline ($Eventuate::timeout seconds) has passed.  Every
# broker and every server is stopped at the end, also of a test that dies.
#
# Below Eventuate/: what waits (Wait), reads and writes Kafka (Records), keeps
# clients sending (Load), makes standbys (Standby), leaves transactions open
# (Prepared), upgrades (Upgrade); and the kinds of Kafka, each a Broker (Mock,
# Kafka, Cluster), with a Proxy before it; and what else reads PostgreSQL (Connect).

package Eventuate;

use strict;
use warnings;

use Eventuate::Cluster ();
use Eventuate::Connect ();
use Eventuate::Kafka ();
use Eventuate::Load;
use Eventuate::Mock ();
use Eventuate::Prepared;
use Eventuate::Records;
use Eventuate::Standby;
use Eventuate::Upgrade;
use Eventuate::Wait;
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = (
	@Test::More::EXPORT, qw(
	  mock_kafka real_kafka kafka_connect new_node slurp_file
	  consume wait_for_records produce payloads_of send_payload
	  prepare_load start_load stop_load load_sent check_load
	  wait_until wait_for_query wait_for_state wait_for_more wait_caught_up
	  wait_for_log log_position
	  publisher_pid launcher_pid stat_of sanitized
	  follow new_synchronous_standby copies_slots wait_for_slot_copy
	  prepare_transaction commit_prepared wait_until_awaited pg_upgrade
	));

our $timeout = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 120;

# A test that is interrupted cleans up as well.
$SIG{$_} = sub { die "got SIG$_[0]\n" } foreach qw(INT TERM HUP);

# ---------------------------------------------------------------------
# Kafka.  Both kinds have these methods:
#
#	brokers				its bootstrap.servers
#	create_topic		(name, partitions = 4); topics are also created by use
#	stop, start			nobody answers; the same port and data again
#	freeze, thaw		connections stay, nobody answers (SIGSTOP, SIGCONT)
#	kill				the process dies at once; of a mock, the data too
#	log_contents		what it had to say
#	reset				of a mock or of a proxy: see t/Eventuate/Proxy.pm
#
# A mock has also: command("rtt 1 500"), see t/mock_kafka.c, which returns what
# the answer says besides "ok"; it keeps at most 5 MB or 100,000 messages in a
# partition.
#
# A real one has also:
#
#	address				of another of its listeners, by name
#	proxy				with real_kafka(proxied => 1): the way to it that can be
#						broken, see t/Eventuate/Proxy.pm; a broker for new_node
#	java				run one of Kafka's programs: class, arguments
#	alter				ConfigCommand --alter: its further arguments
#	partitions			what it knows of a topic's: partition => { leader, isrs, .. }
# ---------------------------------------------------------------------

# mock_kafka(brokers => 3)
sub mock_kafka
{
	return Eventuate::Mock->new(@_);
}

# real_kafka(conf => "message.max.bytes=2000\n"), or with
#
#	brokers				how many; then node(1) to node(N) have the methods
#						above as well, each for itself
#	listeners			{ NAME => protocol }: besides the one without secrets,
#						which everything in here talks to
#	proxied				one more listener, behind a proxy
#	format				further arguments of StorageTool format
#	home				a directory that its files go to
sub real_kafka
{
	my %options = @_;
	return ($options{brokers} || 1) > 1
	  ? Eventuate::Cluster->new(%options)
	  : Eventuate::Kafka->new(%options);
}

# Is the server one of script/sanitize's?
sub sanitized
{
	return defined $ENV{ASAN_OPTIONS};
}

# Kafka Connect: see t/Eventuate/Connect.pm.
sub kafka_connect
{
	return Eventuate::Connect->new(@_);
}

# ---------------------------------------------------------------------
# PostgreSQL
# ---------------------------------------------------------------------

# A running server with the extension in database postgres:
#
#	kafka			a broker, or several: eventuate.kafka names them
#	properties		further librdkafka properties: "linger.ms=5 client.id=x"
#	conf			lines for postgresql.conf
#	restart_after_crash		1: the server comes back, as it does for users
#	extension		0: without CREATE EXTENSION
#	start			0: do not even start it
#	init			further arguments of PostgreSQL::Test::Cluster->init
#	old				1: of the major that OLD_PG_CONFIG names
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name,
		$options{old} ? (install_path => dirname(dirname($ENV{OLD_PG_CONFIG}))) : ());

	my %init = @{ $options{init} || [] };
	$node->init(
		allows_streaming => 'logical',
		%init,
		extra => [ '--encoding=UTF8', '--locale=C', @{ $init{extra} || [] } ]);
	# Of PostgreSQL's own, which knows only its own major.
	$node->adjust_conf('postgresql.conf', 'autovacuum_worker_slots', undef)
	  if $options{old};
	configure($node, %options);
	if ($options{start} // 1)
	{
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION eventuate')
		  if $options{extension} // 1;
	}
	return $node;
}

# What new_node writes to postgresql.conf; for nodes that are made otherwise.
sub configure
{
	my ($node, %options) = @_;
	my $kafka = $options{kafka};

	# Staged by script/stage, or else installed.
	my $staged = ($options{old} ? 'tmp_old/' : '') . 'tmp_stage/server.conf';
	$node->append_conf('postgresql.conf',
		-e $staged
		? slurp_file($staged)
		: "shared_preload_libraries = 'eventuate'\n"
		  . "max_prepared_transactions = 10\n");
	if ($kafka)
	{
		my @kafka = ref $kafka eq 'ARRAY' ? @$kafka : ($kafka);
		my $properties = 'bootstrap.servers=' . join(',', map { $_->brokers } @kafka);
		$properties .= " $options{properties}" if defined $options{properties};
		$properties =~ s/'/''/g;
		$node->append_conf('postgresql.conf', "eventuate.kafka = '$properties'");
	}
	$node->append_conf('postgresql.conf', 'restart_after_crash = on')
	  if $options{restart_after_crash};
	$node->append_conf('postgresql.conf', $options{conf})
	  if defined $options{conf};
	return;
}

1;
