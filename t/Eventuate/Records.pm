# Records of Kafka's, read and written without PostgreSQL, and what was sent
# with them.  Functions of Eventuate.

package Eventuate;

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils ();

our ($timeout, $seen);

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
			'timeout', $timeout, 'kcat', '-C', '-m', $timeout, '-b', $kafka->brokers,
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

# A message to the topic "topic", by a server; all of these have one key.
sub send_payload
{
	my ($node, $payload) = @_;
	$node->safe_psql('postgres', "SELECT eventuate_send('topic', '$payload', 'k')");
	return;
}

# What was sent with each: the payload of an envelope, or else the value.
sub payloads_of
{
	return map { $_->{value} =~ /"payload":"([^"]*)"/ ? $1 : $_->{value} } @_;
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

1;
