# Load: clients of pgbench, each with a key of its own and with numbers that
# ascend, so that loss and order can be told from the records alone.
# Functions of Eventuate.

package Eventuate;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More;

our $timeout;

# Once for a node, before the others.
sub prepare_load
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE SEQUENCE load_numbers');
	return;
}

# Sends to the topic until stop_load: rate => transactions a second (200),
# clients => 4, messages => in a transaction (2), bytes => of each (0 more).
# Or whatever a script of pgbench does: script => '...'.
sub start_load
{
	my ($node, $topic, %options) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';

	my ($messages, $bytes) = ($options{messages} || 2, $options{bytes} || 0);
	open(my $file, '>', $script) or die "could not write $script: $!";
	print $file $options{script}
	  // "SELECT eventuate_send('$topic', nextval('load_numbers') || repeat('.', $bytes), "
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
#	table		where what was sent is, instead of eventuate.message
sub check_load
{
	my ($node, $kafka, $topic, $what, %options) = @_;
	my $from = $options{from} || 0;
	my $table = $options{table} || 'eventuate.message';
	my (%sent, %seen, %range, @disorder, $disordered, $repeated, $phantoms);

	$disordered = $repeated = $phantoms = 0;
	$sent{$_} = 1
	  foreach split /\n/, $node->safe_psql('postgres',
		"SELECT (regexp_match(payload, '^\\d+'))[1] FROM $table WHERE destination = '$topic'");
	open(my $in, '-|', 'timeout', $timeout, 'kcat', '-C', '-m', $timeout, '-b', $kafka->brokers,
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

1;
