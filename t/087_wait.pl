# Waiting for what was sent, and sending again what was sent before.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]); }

sub refused
{
	my ($sql, $error, $what) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($err, $error, $what);
}

# True means that it is on Kafka.
foreach my $i (1 .. 20)
{
	run("SELECT eventuate_send('waited', '$i', 'k'); SELECT eventuate_wait()") =~ /t$/ or die 'not in time';
	my @records = consume($kafka, 'waited');
	die "only " . @records . " of $i" if @records != $i;
}
pass('what is waited for is there');
is(run('SET synchronous_commit = off; SELECT eventuate_produce(\'waited\', \'x\'); SELECT eventuate_wait(timeout => \'1 minute\')') =~ /t$/ ? 1 : 0, 1,
	'also what was not flushed');
is(run(q{SELECT eventuate_wait(pg_current_wal_insert_lsn() + 1000000, '10ms')}), 'f', 'what is not yet written is not there');

# It never waits for itself, nor longer than it is told.
refused(q{BEGIN; SELECT eventuate_send('waited', 'x'); SELECT eventuate_wait()}, qr/25001: eventuate_wait\(\) cannot be called in a transaction that has written/,
	'a transaction that has sent cannot wait');
refused(q{SET statement_timeout = '200ms'; SELECT eventuate_wait(pg_current_wal_insert_lsn() + 1000000, '4000000 years')}, qr/57014: canceling statement/,
	'long means long');
refused(q{SELECT eventuate_wait(timeout => '-1s')}, qr/22023: timeout must not be negative/, 'a timeout is not negative');
$kafka->stop;
run(q{SELECT eventuate_send('waited', 'later', 'k')});
my $lsn = run('SELECT pg_current_wal_insert_lsn()');
is(run(q{SELECT eventuate_wait(timeout => '100ms')}), 'f', 'without Kafka it is false in time');
$kafka->start;
is(run(qq{SELECT eventuate_wait('$lsn', '2 minutes')}), 't', 'then true');
run('CREATE ROLE anybody');
is(run(q{SET ROLE anybody; SELECT eventuate_wait()}), 't', 'anybody may wait');

# Again: of a range of time, of a channel.
run(qq{SELECT eventuate_send('replayed', 'before', 'k')});
my $since = run('SELECT clock_timestamp()');
run(q{SELECT eventuate_send('replayed', '1', 'k'); SELECT eventuate_produce('replayed', '2', 'k', headers => '{"a": "b"}', record_time => '2020-01-01'); SELECT eventuate_send('other', '3', 'k')});
my $until = run('SELECT clock_timestamp()');
run(qq{SELECT eventuate_send('replayed', 'after', 'k')});
is(run(qq{SELECT eventuate_replay('$since', '$until', 'replayed')}), 2, 'it says how many');
is(run('SELECT eventuate_wait()'), 't', 'they are sent');
my @records = wait_for_records($kafka, 'replayed', 6);
is_deeply([ map { $_->{value} } @records[ 4, 5 ] ], [ map { $_->{value} } @records[ 1, 2 ] ], 'again and in order, as they were');
is_deeply([ @{ $records[5] }{qw(key headers ts)} ], [ @{ $records[2] }{qw(key headers ts)} ], 'headers, key and time too');
is(scalar(consume($kafka, 'other')), 1, 'others are not');
is(run(qq{SELECT eventuate_replay('$since', '$until')}), 3, 'of all channels');
run(qq{BEGIN; SELECT eventuate_replay('$since', '$until', 'replayed'); ROLLBACK; SELECT eventuate_wait()});
is(scalar(consume($kafka, 'replayed')), 8, 'rolled back it is not');
refused(qq{SET ROLE anybody; SELECT eventuate_replay('$since', '$until')}, qr/42501: permission denied for function eventuate_replay/, 'it has to be granted');

done_testing();
