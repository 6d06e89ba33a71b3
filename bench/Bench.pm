# What the benchmarks share: a server, a Kafka, the message, the measuring.
#
#	use lib 't', 'bench';
#	use Bench;				# and with it all of Eventuate
#
#	my ($kafka, $node) = bench_servers('drain');
#	compare('drain', 5,
#		eventuate => sub { return ('messages/s' => ...) },
#		another => sub { ... });
#	done_testing();
#
# compare() runs each in turn, as often as told, so that what else the machine
# does hits all of them, and prints a row of a table for each figure:
#
#	| drain | eventuate | messages/s | median | least | most | rounds |
#
# The message is an order of 300 bytes with five headers, about 160 bytes, and
# an id of 36.  Everything shares one machine: compare only figures of one run.

package Bench;

use strict;
use warnings;

use Cwd ();
use Eventuate;
use Exporter 'import';
use IPC::Run ();
use Time::HiRes qw(sleep time);

our @EXPORT = (
	@Eventuate::EXPORT, qw(
	  bench_servers bench_topic compare ratios result rounds median
	  pgbench script send_script payload
	  cpu_of cpu_of_children rss_of peak_of reset_peak switches_of with_setting
	  records_in arrival_of run_command
	));

our $settings = <<'END';
shared_buffers = 256MB
max_wal_size = 16GB
checkpoint_timeout = 1h
autovacuum = off
fsync = on
END

my $quiet = <<'END';
listen_addresses = '127.0.0.1'
log_statement = none
log_replication_commands = off
max_connections = 50
max_replication_slots = 20
max_wal_senders = 10
END

# In MB: what is left to what is measured, with its files, and what of it is not
# filled.
my $working_memory = 6000;
my $left_free = 200;

# ---------------------------------------------------------------------
# Servers
# ---------------------------------------------------------------------

# A Kafka and a server that publishes to it, warmed up.  Options are those of
# new_node, kafka => further lines for the broker, proxied => 1 for a way to it
# that can be made longer, and full => 1 where memory is to be full, see
# hold_memory.
sub bench_servers
{
	my ($name, %options) = @_;
	our $full = delete $options{full};
	hold_memory() if $full;
	my $kind = $ENV{KAFKA} || 'real';
	my $proxied = delete $options{proxied};
	my $kafka = $kind eq 'mock' ? mock_kafka() : Bench::Kafka->new(conf => delete $options{kafka}, proxied => $proxied);
	my $node = new_node($name, %options, kafka => $proxied ? $kafka->proxy : $kafka, start => 0,
		conf => $settings . $quiet . ($options{conf} // ''));

	load_plugins($node);
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION eventuate');
	bench_topic($kafka, 'warm_up', 1);
	wait_for_state($node, 'postgres', 'streaming');
	$node->safe_psql('postgres', q{SELECT eventuate_send('warm_up', '{}')});
	wait_caught_up($node);
	note("$name: $kind Kafka, " . join(', ', split /\n/, $settings . ($options{conf} // '')));
	return ($kafka, $node);
}

# What a virtual machine leaves free, or does not touch for long, its host may
# take back, and to get it anew costs a multiple of what is measured.  A server
# that has run for a while has neither.  So most of memory is taken, by a process
# that ends with this one, ...
sub hold_memory
{
	my ($available) = memory('MemAvailable') - $working_memory;
	my ($in, $out) = ('', '');
	our $holder;

	return if $holder || $available < $working_memory;
	$holder = IPC::Run::start(
		[ 'perl', '-e', '$| = 1; push @held, "x" x (64 << 20) for 1 .. $ARGV[0] / 64; print "held\n"; <STDIN>', int($available) ],
		'<', \$in, '>', \$out);
	$holder->pump until $out =~ /held/;
	return;
}

# ... and what is free of the rest is filled with pages of a file without
# contents, which others take as they need them.
sub fill_memory
{
	my $size = int(memory('MemFree') - $left_free);
	our $filled //= 0;
	our $name //= PostgreSQL::Test::Utils::tempdir() . '/memory';

	return unless our $full and $size > $left_free / 4;
	open(my $file, '>>', $name) or die "could not write $name: $!";
	truncate($file, ($filled + $size) << 20) or die "could not write $name: $!";
	run_command('dd', "if=$name", 'of=/dev/null', 'bs=1M', "skip=$filled", 'status=none');
	$filled += $size;
	return;
}

# In MB, what the kernel calls so.
sub memory
{
	return slurp_file('/proc/meminfo') =~ /^$_[0]:\s+(\d+)/m ? $1 / 1024 : 0;
}

# The server may load our own output plugin and those of peers as well.
sub load_plugins
{
	my ($node) = @_;
	my $conf = slurp_file($node->data_dir . '/postgresql.conf');
	my ($path) = $conf =~ /^dynamic_library_path = '(.*)'/m;
	my $here = Cwd::getcwd();

	$node->append_conf('postgresql.conf', "dynamic_library_path = '$here/bench:" . ($path // '$libdir') . "'");
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput, eventuate, wal2json, count_decode'")
	  if $conf =~ /^output_plugin_libraries/m;
	return;
}

# Its records carry the time at which the broker got them.
sub bench_topic
{
	my ($kafka, $name, $partitions) = @_;
	return $kafka->create_topic($name, $partitions || 4, 'message.timestamp.type=LogAppendTime',
		'retention.bytes=400000000', 'segment.bytes=100000000');
}

# A CODE with another setting, for a publisher that is begun afresh by it.
sub with_setting
{
	my ($node, $setting, $code) = @_;

	return sub {
		$node->safe_psql('postgres', "ALTER SYSTEM SET $setting");
		$node->reload;
		my @figures = $code->(@_);
		$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
		$node->reload;
		return @figures;
	};
}

# ---------------------------------------------------------------------
# The message, and sending it
# ---------------------------------------------------------------------

sub payload
{
	return '{"note": "' . 'x' x 288 . '"}';
}

# A file for pgbench.
sub script
{
	my ($contents) = @_;
	our $scripts;
	my $name = PostgreSQL::Test::Utils::tempdir() . '/script' . ++$scripts . '.sql';

	open(my $file, '>', $name) or die "could not write $name: $!";
	print $file $contents;
	close $file;
	return $name;
}

# One transaction of so many messages.
sub send_script
{
	my ($topic, $count) = @_;
	my $send = sub { return "eventuate_send('$topic', '" . payload() . "', $_[0], '{\"type\": \"OrderCreated\"}')" };

	return script($count
		? 'SELECT count(' . $send->('(i % 1000)::text') . ") FROM generate_series(1, $count) AS i;\n"
		: "\\set customer random(1, 1000)\nSELECT " . $send->(':customer::text') . ";\n");
}

# Runs pgbench; returns transactions a second.
sub pgbench
{
	my ($node, @arguments) = @_;
	my ($out) = run_command('pgbench', '-n', '-M', 'prepared', @arguments, $node->connstr('postgres'));
	return $out =~ /^tps = ([\d.]+)/m ? $1 : die $out;
}

# What a command printed, and what it had to say.
sub run_command
{
	my @command = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err) or die "@command: $err\n";
	return ($out, $err);
}

# ---------------------------------------------------------------------
# Measuring
# ---------------------------------------------------------------------

# CPU seconds of a process with all its threads.
sub cpu_of
{
	my ($pid) = @_;
	my @field = split ' ', (slurp_file("/proc/$pid/stat") =~ s/.*\) //sr);
	return ($field[11] + $field[12]) / 100;
}

# CPU seconds of the children of a process that have ended: of the postmaster,
# what sessions have used.
sub cpu_of_children
{
	my ($pid) = @_;
	my @field = split ' ', (slurp_file("/proc/$pid/stat") =~ s/.*\) //sr);
	return ($field[13] + $field[14]) / 100;
}

sub status_of
{
	my ($file, $what) = @_;
	my ($value) = slurp_file($file) =~ /^\Q$what\E:\s+(\d+)/m;
	return $value;
}

# MB in memory: now, and at most.
sub rss_of
{
	return status_of("/proc/$_[0]/status", 'VmRSS') / 1024;
}

sub peak_of
{
	return status_of("/proc/$_[0]/status", 'VmHWM') / 1024;
}

# How often the threads of a process were given a CPU, by name of the thread.
sub switches_of
{
	my ($pid) = @_;
	my %count;

	foreach my $task (glob "/proc/$pid/task/*")
	{
		my ($name) = slurp_file("$task/comm") =~ /(.*)/;
		$count{$name} += status_of("$task/status", 'voluntary_ctxt_switches');
	}
	return \%count;
}

# The end of each partition.
sub ends
{
	my ($kafka, $topic) = @_;
	my ($out) = run_command('kcat', '-Q', '-b', $kafka->brokers, map { ('-t', "$topic:$_:-1") } 0 .. 3);
	my @ends;

	$ends[$1] = $2 while $out =~ /\[(\d)\] offset (\d+)/g;
	return \@ends;
}

sub records_in
{
	my ($kafka, $topic) = @_;
	my $sum = 0;

	$sum += $_ foreach @{ ends($kafka, $topic) };
	return $sum;
}

# When the broker got one record, in s; undef where there is a marker of a
# transaction.
sub time_of
{
	my ($kafka, $topic, $partition, $offset) = @_;
	my ($out) = run_command('kcat', '-C', '-q', '-e', '-b', $kafka->brokers, '-t', $topic, '-p', $partition,
		'-o', $offset, '-c', 1, '-f', '%T\n', '-X', 'fetch.wait.max.ms=10', '-X', 'max.partition.fetch.bytes=100000');
	return $out ? $out / 1000 : undef;
}

# Runs CODE; returns the seconds from the first to the last of the COUNT
# records that a topic gets by it, by the broker's clock, and what CODE returned.
sub arrival_of
{
	my ($kafka, $topic, $count, $code) = @_;
	my $before = ends($kafka, $topic);
	fill_memory();
	my @result = $code->();
	my $after;

	Eventuate::wait_until(
		"$count records in $topic",
		sub {
			$after = ends($kafka, $topic);
			my $new = 0;
			$new += $after->[$_] - $before->[$_] foreach 0 .. 3;
			$Eventuate::seen = $new;
			return $new >= $count;
		}, 300);
	my @used = grep { $after->[$_] > $before->[$_] } 0 .. 3;
	my ($first) = sort { $a <=> $b } map { time_of($kafka, $topic, $_, $before->[$_]) } @used;
	my ($last) = sort { $b <=> $a } map { time_of($kafka, $topic, $_, $after->[$_] - 1) // time_of($kafka, $topic, $_, $after->[$_] - 2) } @used;
	return ($last - $first, @result);
}

# ---------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------

sub rounds
{
	return $ENV{ROUNDS} || $_[0];
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

sub number
{
	my ($value) = @_;
	return sprintf($value >= 100 ? '%.0f' : $value >= 10 ? '%.1f' : '%.2f', $value);
}

# One row of the table.
sub result
{
	my ($bench, $who, $figure, @values) = @_;
	my ($least, $most) = (sort { $a <=> $b } @values)[ 0, -1 ];

	note('| ' . join(' | ', $bench, $who, $figure, map({ number($_) } median(@values), $least, $most), scalar @values) . ' |');
	return;
}

# Runs each CODE in turn, which returns figures by name.
sub compare
{
	my ($bench, $rounds, @who) = @_;
	my (@names, %code, %values, %figures);

	while (my ($name, $code) = splice(@who, 0, 2))
	{
		push @names, $name;
		$code{$name} = $code;
	}
	foreach my $round (1 .. $rounds)
	{
		foreach my $name (@names)
		{
			fill_memory();
			my @figures = $code{$name}->($round);
			diag("$bench, round $round, $name: " . join(' ', map { s/(\.\d\d)\d+/$1/r } @figures));
			while (my ($figure, $value) = splice(@figures, 0, 2))
			{
				push @{ $figures{$name} }, $figure unless $values{$name}{$figure};
				push @{ $values{$name}{$figure} }, $value;
			}
		}
	}
	foreach my $name (@names)
	{
		result($bench, $name, $_, @{ $values{$name}{$_} }) foreach @{ $figures{$name} };
	}
	ok(1, "$bench, $rounds rounds");
	return \%values;
}

# What compare() returned of some, as parts of what it returned of another, round
# by round.
sub ratios
{
	my ($bench, $values, $figure, $base, @who) = @_;
	my @bases = @{ $values->{$base}{$figure} };

	foreach my $who (@who)
	{
		my @values = @{ $values->{$who}{$figure} };
		result($bench, "$who / $base", "$figure, ratio", map { $values[$_] / $bases[$_] } 0 .. $#values);
	}
	return;
}

# A broker as its users run it: with the JVM's own compiler, and what Kafka's
# scripts set of its memory.
package Bench::Kafka;

our @ISA;
BEGIN { @ISA = ('Eventuate::Kafka') }

my @memory = qw(-Xms1g -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20
  -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent);

sub class
{
	my ($self, $class, @arguments) = @_;
	my @command = $self->SUPER::class($class, @arguments);

	return @command unless $class eq 'kafka.Kafka';
	return map { /^-Xmx/ ? @memory : $_ } grep { !/UseSerialGC|TieredStopAtLevel/ } @command;
}

# CPU seconds of the JVM's compilers.
sub compiling
{
	my ($self) = @_;
	my $pid = $self->pid;
	my $seconds = 0;

	foreach my $thread (map { m{^/proc/(.*)} } glob "/proc/$pid/task/*")
	{
		$seconds += Bench::cpu_of($thread) if Bench::slurp_file("/proc/$thread/comm") =~ /^C[12] Compiler/;
	}
	return $seconds;
}

1;
