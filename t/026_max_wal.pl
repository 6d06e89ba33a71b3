# eventuate.max_wal: an outage of Kafka costs rows, not pg_wal.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $limit = 32;    # MB
my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	init => [ extra => ['--wal-segsize=1'] ],
	conf => "eventuate.queue_size = 1MB\nmin_wal_size = 2MB\nmax_wal_size = 8MB\nwal_keep_size = 0\n");
wait_for_state($node, 'postgres', 'streaming');
send_message('before');
wait_caught_up($node);

# Without a limit the slot keeps it all.
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
set_limit(-1);
send_message("outage $_") foreach 1 .. 3;
write_wal(2 * $limit);
is(slots(), 1, 'without a limit the slot stays');
cmp_ok(pg_wal(), '>', 2 * $limit, 'and pg_wal grows');
my ($query) = slurp_file('doc/operations.md') =~ /```sql\n([^`]*catalog_xmin[^`]*)```/ or die 'no query';
my ($database, $state, $status, $bytes, $transactions) = split /\|/, $node->safe_psql('postgres', $query);
is("$database $state", 'postgres waiting', 'the query of operations.md says whose slot it is');
cmp_ok($bytes, '>', 2 * $limit * 1024 * 1024, 'how much WAL it holds');
cmp_ok($transactions, '>=', 3, 'and for how many transactions vacuum has to wait');

# With one it goes, although the publisher is in the middle of a transaction
# that does not fit in its queue.
$node->safe_psql('postgres', q{SELECT eventuate_send('big', repeat('x', 1000), 'k') FROM generate_series(1, 3000)});
$node->safe_psql('postgres', q{BEGIN; SELECT eventuate_send('topic', 'prepared', 'k'); PREPARE TRANSACTION 'p'});
set_limit($limit);
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_replication_slots}, 0);
wait_for_query($node, 'postgres',
	q{SELECT state = 'waiting' AND last_error LIKE '%; there is no replication slot, messages will be published from the tables' FROM pg_stat_eventuate});
like(slurp_file($node->logfile), qr/gave up replication slot "eventuate_\d+", which held back \d+ MB of WAL\n.*DETAIL:  What was committed after \S+ will be published/,
	'the log says what and why');
my $most = 0;
foreach my $i (1 .. 5)
{
	write_wal($limit);
	send_message("without slot $i");
	$most = pg_wal() if pg_wal() > $most;
}
note("pg_wal: at most $most MB while 160 MB were written");
cmp_ok($most, '<', $limit, 'without a slot pg_wal does not grow');

# So it is after a crash.
$node->stop('immediate');
$node->start;
wait_for_query($node, 'postgres',
	q{SELECT state = 'waiting' AND last_error LIKE '%there is no replication slot%' FROM pg_stat_eventuate});
is(slots(), 0, 'no slot is made as long as Kafka is away');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});

$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
send_message('streaming');
wait_caught_up($node);
my @payloads = payloads('topic');
shift @payloads if $payloads[1] eq 'before';
is_deeply(\@payloads,
	[ 'before', (map { "outage $_" } 1 .. 3), 'prepared', (map { "without slot $_" } 1 .. 5), 'streaming' ],
	'everything comes when Kafka is back, what the outage kept once');
is(scalar(consume($kafka, 'big')), 3000, 'the large transaction as well');

# A publisher that rests has a slot to give up, too.
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
send_message('paused');
write_wal(2 * $limit);
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_replication_slots}, 0);
wait_for_query($node, 'postgres',
	q{SELECT state = 'paused' AND last_error LIKE 'there is no replication slot%' FROM pg_stat_eventuate});
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is((payloads('topic'))[-1], 'paused', 'resumed, it goes on from the tables');

# Kafka is there, but slow.
my $position = log_position($node);
$kafka->command('rtt 1 2000');
$node->safe_psql('postgres', q{SELECT eventuate_send('slow', repeat('x', 1000), 'k') FROM generate_series(1, 3000)});
write_wal(2 * $limit);
wait_for_log($node, qr/gave up replication slot/, $position);
$kafka->command('rtt 1 0');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
my %ids = map { $_->{value} =~ /"ID":"([^"]*)"/ ? ($1 => 1) : () } consume($kafka, 'slow');
is(scalar(keys %ids), 3000, 'a slow Kafka loses nothing either');

# What a long transaction holds back is not ours to set free.
$position = log_position($node);
my $long = $node->background_psql('postgres');
$long->query_safe(q{BEGIN; SELECT eventuate_send('long', 'x', 'k')});
foreach my $i (1 .. 8)
{
	write_wal($limit / 4);
	wait_caught_up($node);
}
cmp_ok(
	$node->safe_psql('postgres',
		q{SELECT (pg_current_wal_lsn() - restart_lsn) / 1024 / 1024 FROM pg_replication_slots}),
	'>', $limit, 'a long transaction holds back WAL');
unlike(substr(slurp_file($node->logfile), $position), qr/gave up replication slot/, 'that is no reason to give up the slot');
$long->query_safe('COMMIT');
$long->quit;

# The slot cannot be made for an orphan of another database: rows flow, and
# WAL does not pile up either.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
$node->safe_psql('other', q{BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'orphan'});
my $orphan = $node->safe_psql('other', 'SELECT transaction FROM pg_prepared_xacts');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_query($node, 'postgres',
	qq{SELECT last_error LIKE '%waits for transaction $orphan to end%' FROM pg_stat_eventuate});
my $pid = publisher_pid($node);
foreach my $i (1 .. 3)
{
	write_wal($limit);
	send_message("orphan $i", 'orphan');
	wait_for_records($kafka, 'orphan', $i);
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
}
wait_until('room in pg_wal', sub {
	$node->safe_psql('postgres', 'CHECKPOINT');
	$Eventuate::seen = pg_wal();
	return $Eventuate::seen <= 2 * $limit;
});
pass('what is written while the slot cannot be made is not kept');
is(stat_of($node, "state || ' ' || pid"), "recovering $pid", 'although it cannot');
$node->safe_psql('other', q{ROLLBACK PREPARED 'orphan'});
wait_for_state($node, 'postgres', 'streaming');
send_message('born', 'orphan');
wait_caught_up($node);
is_deeply([ payloads('orphan') ], [ (map { "orphan $_" } 1 .. 3), 'born' ], 'rows flow all the time, once each');

done_testing();

sub set_limit
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET eventuate.max_wal = '$_[0]'");
	$node->reload;
}

# So many MB, none of it ours.
sub write_wal
{
	$node->safe_psql('postgres', "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1024 * 1024)) FROM generate_series(1, $_[0])");
	$node->safe_psql('postgres', 'CHECKPOINT');
}

sub pg_wal
{
	return $node->safe_psql('postgres', 'SELECT sum(size) / 1024 / 1024 FROM pg_ls_waldir()');
}

sub slots
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots');
}

sub send_message
{
	my ($payload, $topic) = @_;
	$topic //= 'topic';
	$node->safe_psql('postgres', "SELECT eventuate_send('$topic', '$payload', 'k')");
}

sub payloads
{
	return payloads_of(consume($kafka, $_[0]));
}
