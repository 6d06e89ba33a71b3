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

package Eventuate;

use strict;
use warnings;

use Eventuate::Proxy ();
use Exporter 'import';
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = (
	@Test::More::EXPORT, qw(
	  mock_kafka real_kafka new_node slurp_file
	  consume wait_for_records produce
	  prepare_load start_load stop_load load_sent check_load
	  wait_until wait_for_query wait_for_state wait_caught_up
	  wait_for_log log_position
	  publisher_pid launcher_pid stat_of
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
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	my %init = @{ $options{init} || [] };
	$node->init(
		allows_streaming => 'logical',
		%init,
		extra => [ '--encoding=UTF8', '--locale=C', @{ $init{extra} || [] } ]);
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
	my $staged = 'tmp_stage/server.conf';
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

# ---------------------------------------------------------------------
# Waiting
# ---------------------------------------------------------------------

# Call CODE until it returns true; that is returned.  What is waited for is
# told when it does not come, with $Eventuate::seen if CODE has set that.
our $seen;

sub wait_until
{
	my ($what, $code, $seconds) = @_;
	my $deadline = time + ($seconds || $timeout);
	my $pause = 0.01;

	local $seen;
	while (1)
	{
		my $result = $code->();
		return $result if $result;
		die "timed out waiting for $what"
		  . (defined $seen ? "; last seen: $seen" : '') . "\n"
		  if time > $deadline;
		sleep($pause);
		$pause *= 1.5 if $pause < 0.2;
	}
}

# The answer to a query, undef where there is none: the server may be down.
sub ask
{
	my ($node, $database, $query) = @_;
	my ($out, $err) = ('', '');

	my $done = IPC::Run::run(
		[
			$node->installed_command('psql'), '-XAtq',
			'-v', 'ON_ERROR_STOP=1',
			'-d', $node->connstr($database),
			'-c', $query
		],
		'<', \undef, '>', \$out, '2>', \$err);
	chomp($out, $err);
	$seen = $done ? "\"$out\"" : $err;
	return $done ? $out : undef;
}

# Until the query answers what is expected ("t").
sub wait_for_query
{
	my ($node, $database, $query, $expected) = @_;

	$expected //= 't';
	wait_until(
		"\"$expected\" from $query",
		sub {
			my $answer = ask($node, $database, $query);
			return defined $answer && $answer eq $expected;
		});
	return;
}

# Until pg_stat_eventuate shows the database ('postgres') in this state.
sub wait_for_state
{
	my ($node, $database, $state) = @_;

	wait_until(
		"state $state of $database",
		sub {
			my $row = ask($node, $database,
				"SELECT state || coalesce(': ' || last_error, '') FROM pg_stat_eventuate WHERE datname = '$database'");
			return defined $row && $row =~ /^\Q$state\E(:|$)/;
		});
	return;
}

# Until everything committed so far is acknowledged by Kafka.  An LSN right
# behind a page's header is as good as the page's beginning.
sub wait_caught_up
{
	my ($node, $database) = @_;

	$database //= 'postgres';
	my $lsn = $node->safe_psql($database,
		q{SELECT lsn - CASE WHEN offset_ <= 40 THEN offset_ ELSE 0 END
		  FROM pg_current_wal_insert_lsn() AS lsn,
			   LATERAL (SELECT (lsn - '0/0') % current_setting('wal_block_size')::int) AS o(offset_)});
	wait_for_query($node, $database,
		"SELECT CASE WHEN published_lsn >= '$lsn' THEN 't'
				ELSE concat_ws(', ', state, published_lsn, last_error) END
		 FROM pg_stat_eventuate WHERE datname = '$database'");
	return;
}

# One column or expression of the database's row in pg_stat_eventuate.
sub stat_of
{
	my ($node, $column, $database) = @_;

	$database //= 'postgres';
	return $node->safe_psql($database,
		"SELECT $column FROM pg_stat_eventuate WHERE datname = '$database'");
}

# The pid of a database's publisher, waited for.
sub publisher_pid
{
	my ($node, $database) = @_;

	$database //= 'postgres';
	return worker_pid($node, $database,
		"backend_type = 'eventuate publisher' AND datname = '$database'");
}

sub launcher_pid
{
	my ($node) = @_;

	return worker_pid($node, 'postgres', "backend_type = 'eventuate launcher'");
}

sub worker_pid
{
	my ($node, $database, $condition) = @_;

	return wait_until(
		"a process with $condition",
		sub {
			my $pid = ask($node, $database,
				"SELECT pid FROM pg_stat_activity WHERE $condition");
			return defined $pid && $pid =~ /^\d+$/ ? $pid : undef;
		});
}

# Until the server's log has a match behind POSITION (0); returns the end of
# the log.  log_position is the place to begin at for what is yet to come.
sub wait_for_log
{
	my ($node, $pattern, $position) = @_;

	return wait_until(
		"$pattern in the log",
		sub {
			my $log = slurp_file($node->logfile);
			$seen = substr($log, -500);
			return substr($log, $position || 0) =~ $pattern ? length $log : undef;
		});
}

sub log_position
{
	my ($node) = @_;
	return -s $node->logfile;
}

# ---------------------------------------------------------------------
# Records
# ---------------------------------------------------------------------

# Every record of a topic, up to its end, by partition and offset:
#
#	{ topic, partition, offset, ts, key, value, headers }
#
# key and value are bytes, undef for Kafka's null; headers is a list of
# [name, value].  Options: partition => N, from => OFFSET, properties => [...].
# A topic that does not exist has no records.
sub consume
{
	my ($kafka, $topic, %options) = @_;
	my ($out, $err) = ('', '');

	# kcat's JSON has raw bytes in its strings, but for the control
	# characters that JSON escapes: decoded byte by byte it is exact.
	my $done = IPC::Run::run(
		[
			'timeout', $timeout, 'kcat', '-C', '-b', $kafka->brokers,
			'-t', $topic, '-J', '-e', '-q', '-o', $options{from} // 'beginning',
			defined $options{partition} ? ('-p', $options{partition}) : (),
			'-X', 'fetch.wait.max.ms=10',
			map { ('-X', $_) } @{ $options{properties} || [] }
		],
		'<', \undef, '>', \$out, '2>', \$err);
	my @records;
	return @records if $err =~ /Unknown topic or partition/;
	die "kcat could not read $topic: $err\n" unless $done;

	my $json = JSON::PP->new;
	foreach my $line (split /\n/, $out)
	{
		my $record = $json->decode($line);
		my @headers = @{ $record->{headers} || [] };
		my @pairs;
		push @pairs, [ splice(@headers, 0, 2) ] while @headers;
		push @records,
		  {
			topic => $record->{topic},
			partition => $record->{partition},
			offset => $record->{offset},
			ts => $record->{ts},
			key => $record->{key},
			value => $record->{payload},
			headers => \@pairs
		  };
	}
	@records = sort {
		$a->{partition} <=> $b->{partition} or $a->{offset} <=> $b->{offset}
	} @records;
	return @records;
}

# consume, as soon as the topic has this many records (or more).
sub wait_for_records
{
	my ($kafka, $topic, $count, %options) = @_;
	my @records;

	wait_until(
		"$count records of $topic",
		sub {
			@records = consume($kafka, $topic, %options);
			$seen = scalar(@records) . ' records';
			return @records >= $count;
		});
	return @records;
}

# Put a record on a topic without PostgreSQL.
sub produce
{
	my ($kafka, $topic, $value, %options) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/value';
	my $err = '';

	open(my $out, '>:raw', $file) or die "could not write $file: $!";
	print $out $value;
	close($out) or die "could not write $file: $!";
	IPC::Run::run(
		[
			'timeout', $timeout, 'kcat', '-P', '-b', $kafka->brokers,
			'-t', $topic,
			defined $options{key} ? ('-k', $options{key}) : (),
			defined $options{partition} ? ('-p', $options{partition}) : (),
			(map { ('-H', $_) } @{ $options{headers} || [] }), $file
		],
		'<', \undef, '2>', \$err) or die "kcat could not write $topic: $err\n";
	return;
}

# ---------------------------------------------------------------------
# Load: clients of pgbench, each with a key of its own and with numbers that
# ascend, so that loss and order can be told from the records alone.
# ---------------------------------------------------------------------

# Once for a node, before the others.
sub prepare_load
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE SEQUENCE load_numbers');
	return;
}

# Sends to the topic until stop_load: rate => transactions a second (200),
# clients => 4, messages => in a transaction (2), bytes => of each (0 more).
sub start_load
{
	my ($node, $topic, %options) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';

	my ($messages, $bytes) = ($options{messages} || 2, $options{bytes} || 0);
	open(my $file, '>', $script) or die "could not write $script: $!";
	print $file "SELECT eventuate_send('$topic', nextval('load_numbers') || repeat('.', $bytes), "
	  . "'client-' || :client_id) FROM generate_series(1, $messages);\n";
	close($file) or die "could not write $script: $!";

	my $load = { out => '', err => '', node => $node };
	local $ENV{PGAPPNAME} = 'load';
	$load->{run} = IPC::Run::start(
		[
			'pgbench', '-n', '-c', $options{clients} || 4, '-T', $options{seconds} || 600,
			$options{rate} && $options{rate} eq 'full' ? () : ('-R', $options{rate} || 200),
			'-f', $script, $node->connstr('postgres')
		],
		'<', \undef, '>', \$load->{out}, '2>', \$load->{err});
	return $load;
}

sub stop_load
{
	my ($load) = @_;
	$load->{run}->kill_kill;
	# A session that has lost its client ends what it is at, and may commit.
	wait_for_query($load->{node}, 'postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load'}, 0);
	die "the load failed: $load->{err}\n" if $load->{err} =~ /ERROR|FATAL|aborted/;
	return;
}

# How many messages are committed to the topic.
sub load_sent
{
	my ($node, $topic) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM eventuate.message WHERE destination = '$topic'");
}

# Everything in the table is on the topic, each key in order by the first
# appearance of its messages, and nothing else is.  A key may move to another
# partition, and never back.  Returns how many came again.
#
#	from		only what was sent behind this number counts
#	once		nothing may come again
#	unordered	order is not looked at
sub check_load
{
	my ($node, $kafka, $topic, $what, %options) = @_;
	my $from = $options{from} || 0;
	my (%sent, %seen, %range, @disorder, $disordered, $repeated, $phantoms);

	$disordered = $repeated = $phantoms = 0;
	$sent{$_} = 1
	  foreach split /\n/, $node->safe_psql('postgres',
		"SELECT (regexp_match(payload, '^\\d+'))[1] FROM eventuate.message WHERE destination = '$topic'");
	open(my $in, '-|', 'timeout', $timeout, 'kcat', '-C', '-b', $kafka->brokers,
		'-t', $topic, '-e', '-q', '-o', 'beginning', '-X', 'fetch.wait.max.ms=10',
		'-f', '%k %p %s\n') or die "no kcat: $!";
	while (my $line = <$in>)
	{
		my ($key, $partition, $number) = $line =~ /^(\S+) (\d+) \{"payload":"(\d+)/
		  or die "strange record: $line";
		my $range = $range{$key}{$partition} ||= [ $number, 0 ];

		$phantoms++ unless $sent{$number};
		$seen{$number}++ ? $repeated++ : $number > $range->[1] ? ($range->[1] = $number)
		  : ($disordered++, push @disorder, "$key, partition $partition: $number behind $range->[1]");
	}
	close($in) or die "kcat could not read $topic: $?\n";
	foreach my $partitions (values %range)
	{
		my @ranges = sort { $a->[0] <=> $b->[0] } values %$partitions;
		foreach my $i (1 .. $#ranges)
		{
			next if $ranges[$i][0] > $ranges[ $i - 1 ][1];
			$disordered++;
			push @disorder, "@{ $ranges[$i - 1] } on one partition, @{ $ranges[$i] } on another";
		}
	}

	my @lost = sort { $a <=> $b } grep { $_ > $from && !$seen{$_} } keys %sent;
	my $count = grep { $_ > $from } keys %sent;
	is(scalar @lost, 0, "$what: nothing is lost of $count")
	  or diag("the first and last lost are $lost[0] and $lost[-1]");
	is($phantoms, 0, "$what: nothing comes that was not sent");
	is($disordered, 0, "$what: each key is in order") or diag(join "\n", @disorder)
	  unless $options{unordered};
	note("$what: $repeated came again");
	is($repeated, 0, "$what: nothing comes twice") if $options{once};
	return $repeated;
}

# ---------------------------------------------------------------------
# A broker's process
# ---------------------------------------------------------------------
package Eventuate::Broker;

use IO::Handle ();
use IO::Socket::INET ();
use PostgreSQL::Test::Utils ();
use POSIX ();
use Scalar::Util ();

my @brokers;

# Start a program that dies with us, whatever becomes of us; stdin and stdout
# are given as file handles or names.
sub launch
{
	my ($self, $in, $out, @command) = @_;

	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		open(STDIN, ref $in ? '<&' : '<', $in)
		  and open(STDOUT, ref $out ? '>&' : '>>', $out)
		  and open(STDERR, '>>', $self->{log})
		  and exec('setpriv', '--pdeathsig', 'KILL', @command);
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	unless (grep { defined && $_ == $self } @brokers)
	{
		push @brokers, $self;
		Scalar::Util::weaken($brokers[-1]);
	}
	return;
}

# The same for a program that obeys lines; returns its first line.
sub launch_obedient
{
	my ($self, $program, @arguments) = @_;

	die "$program is missing: make $program\n" unless -x $program;
	pipe(my $from_us, $self->{in}) && pipe($self->{out}, my $to_us)
	  or die "no pipe: $!";
	$self->launch($from_us, $to_us, $program, @arguments);
	$self->{in}->autoflush(1);
	return $self->answer;
}

sub answer
{
	my ($self) = @_;
	my $out = $self->{out};
	my $line = <$out>;

	die "a program died: " . $self->log_contents . "\n" unless defined $line;
	chomp $line;
	return $line;
}

sub command
{
	my ($self, $line) = @_;

	print { $self->{in} } "$line\n";
	my ($ok, @answer) = split ' ', $self->answer;
	die "\"$line\": $ok @answer\n" unless $ok eq 'ok';
	return wantarray ? @answer : $answer[0];
}

# Send a signal, wait for the end.
sub end
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;
	my $deadline = time + 30;

	CORE::kill('CONT', $pid);
	CORE::kill($signal, $pid);
	while (waitpid($pid, POSIX::WNOHANG()) == 0)
	{
		CORE::kill('KILL', $pid) if time > $deadline;
		Time::HiRes::sleep(0.01);
	}
	return;
}

sub brokers
{
	return $_[0]{brokers};
}

sub pid
{
	return $_[0]{pid};
}

sub freeze
{
	return CORE::kill('STOP', $_[0]{pid});
}

sub thaw
{
	return CORE::kill('CONT', $_[0]{pid});
}

sub kill
{
	return $_[0]->end('KILL');
}

sub log_contents
{
	return PostgreSQL::Test::Utils::slurp_file($_[0]{log});
}

sub running
{
	my ($self) = @_;
	return $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
}

# A file or directory of this broker's, named after the test.
sub path
{
	my ($self, $name) = @_;
	my ($test) = $0 =~ m{([^/]+?)(\.pl)?$};
	our $count;

	$self->{number} //= ++$count;
	return "$PostgreSQL::Test::Utils::log_path/${test}_$name$self->{number}.log"
	  if $name =~ /^(mock|kafka|proxy)$/;
	return PostgreSQL::Test::Utils::tempdir($name);
}

sub free_port
{
	my $socket = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		Proto => 'tcp',
		Listen => 1) or die "no free port: $!";
	return ($socket->sockport, $socket);
}

sub DESTROY
{
	local ($?, $@);
	$_[0]->end('KILL');
	return;
}

END
{
	local $?;
	foreach my $broker (@brokers)
	{
		$broker->end('KILL') if defined $broker;
	}
}

# ---------------------------------------------------------------------
package Eventuate::Mock;

our @ISA = ('Eventuate::Broker');

sub new
{
	my ($class, %options) = @_;
	my $self = bless { size => $options{brokers} || 1 }, $class;

	$self->{log} = $self->path('mock');
	$self->{brokers} = $self->launch_obedient('t/mock_kafka', $self->{size});
	return $self;
}

sub stop
{
	my ($self) = @_;
	$self->command("down $_") foreach 1 .. $self->{size};
	return;
}

sub start
{
	my ($self) = @_;
	$self->command("up $_") foreach 1 .. $self->{size};
	return;
}

sub create_topic
{
	my ($self, $name, $partitions) = @_;
	$self->command("topic $name " . ($partitions || 4));
	return;
}

# As Eventuate::Proxy's; all of them, while answers are late.
sub reset
{
	my ($self, $answer) = @_;

	if ($answer)
	{
		$self->command("rtt $_ 100") foreach 1 .. $self->{size};
		Time::HiRes::sleep(0.1);
	}
	my $count = $self->command('reset');
	$self->command("rtt $_ 0") foreach 1 .. $self->{size};
	return ($count, 0);
}

# ---------------------------------------------------------------------
# A real broker, alone or one of a cluster
# ---------------------------------------------------------------------
package Eventuate::Kafka;

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

sub create_topic
{
	my ($self, $name, $partitions, @configs) = @_;

	$self->java(
		'org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $self->brokers,
		'--create', '--topic', $name, '--partitions', $partitions || 4,
		'--replication-factor', $self->{replicas}, map { ('--config', $_) } @configs);
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

# ---------------------------------------------------------------------
# Several of them; each is a controller, too
# ---------------------------------------------------------------------
package Eventuate::Cluster;

our @ISA = ('Eventuate::Kafka');

sub new
{
	my ($class, %options) = @_;
	my $count = $options{brokers};
	my ($sockets, @ports) = Eventuate::Kafka::ports(2 * $count);
	my @controllers = splice @ports, 0, $count;
	my @nodes = map {
		Eventuate::Kafka->prepare(
			%options,
			id => $_,
			port => $ports[ $_ - 1 ],
			controllers => \@controllers,
			memory => '256m')
	} 1 .. $count;
	my $self = bless { %{ $nodes[0] }, nodes => \@nodes }, $class;

	delete $self->{number};
	$self->{brokers} = join ',', map { $_->brokers } @nodes;
	close $_ foreach @$sockets;
	$self->start;
	return $self;
}

sub node
{
	return $_[0]{nodes}[ $_[1] - 1 ];
}

sub nodes
{
	return @{ $_[0]{nodes} };
}

sub start
{
	my ($self) = @_;
	$_->launch_broker foreach $self->nodes;
	$_->wait_for_answer foreach $self->nodes;
	return;
}

# At once: one by one the last would wait for a majority.
sub stop { return $_[0]->kill; }
sub kill { $_->kill foreach $_[0]->nodes; return; }
sub freeze { $_->freeze foreach $_[0]->nodes; return; }
sub thaw { $_->thaw foreach $_[0]->nodes; return; }
sub log_contents { return join '', map { $_->log_contents } $_[0]->nodes; }
sub DESTROY { return; }

1;
