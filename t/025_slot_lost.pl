# The slot is lost, in every way in which that happens, while messages wait
# that were written in every way: all of them are published, from the tables.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	init => [ extra => ['--wal-segsize=1'] ],
	conf => "min_wal_size = 2MB\nmax_wal_size = 8MB\nwal_keep_size = 0\nautovacuum = off\n");
wait_for_state($node, 'postgres', 'streaming');
my $slots = q{SELECT count(*) FROM pg_replication_slots};

survives('dropped', sub {
	$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
}, qr/published \d+ messages from the tables\n.*DETAIL:  They were committed after snapshot \d+:\d+:\S* and before/);

survives('behind max_slot_wal_keep_size', sub {
	set('max_slot_wal_keep_size', '1MB');
	write_wal();
	wait_for_query($node, 'postgres', q{SELECT wal_status FROM pg_replication_slots}, 'lost');
	set('max_slot_wal_keep_size', -1);
}, qr/replication slot "eventuate_\d+" cannot be used anymore/);

# The slot looks well, and what it needs is not there.
survives('without its WAL', sub {
	my $first = $node->safe_psql('postgres', 'SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots');
	write_wal();
	$node->stop;
	unlink($node->data_dir . "/pg_wal/$first") or die "no $first: $!";
	$node->start;
}, qr/replication slot "eventuate_\d+" cannot be used anymore/);

survives('without WAL in the middle', sub {
	my $first = $node->safe_psql('postgres', 'SELECT pg_walfile_name(restart_lsn + 2 * 1024 * 1024) FROM pg_replication_slots');
	write_wal();
	$node->stop;
	unlink($node->data_dir . "/pg_wal/$first") or die "no $first: $!";
	$node->start;
}, qr/replication slot "eventuate_\d+" cannot be used anymore/);

SKIP:
{
	skip 'idle_replication_slot_timeout comes with PostgreSQL 18', 3
	  if $node->safe_psql('postgres', 'SHOW server_version_num') < 180000;
	survives('idle for too long', sub {
		set('idle_replication_slot_timeout', '1s');
		wait_until('the timeout', sub {
			$node->safe_psql('postgres', 'CHECKPOINT');
			return $node->safe_psql('postgres', q{SELECT invalidation_reason = 'idle_timeout' FROM pg_replication_slots}) eq 't';
		});
		set('idle_replication_slot_timeout', 0);
	}, qr/replication slot "eventuate_\d+" cannot be used anymore/);
}

done_testing();

# Messages that wait when the slot is lost: they come, once; what came before
# does not come again; what comes then is read from a new slot.
sub survives
{
	my ($what, $lose, $said) = @_;
	my $topic = $what =~ tr/ /-/r;
	my $send = sub { "SELECT eventuate_send('$topic', '$_[0]', 'k');" };

	$node->safe_psql('postgres', $send->('before'));
	wait_for_query($node, 'postgres',
		qq{SELECT bool_and(pg_visible_in_snapshot(txid, snapshot)) FROM eventuate.message, eventuate.progress WHERE destination = '$topic'});
	my $position = log_position($node);
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');

	$node->safe_psql('postgres', $send->('frozen') . $send->('updated'));
	$node->safe_psql('postgres', 'VACUUM FREEZE eventuate.message');
	$node->safe_psql('postgres',
		qq{SELECT bool_and(age(m.xmin) > age(relfrozenxid)) FROM eventuate.message AS m JOIN pg_class AS c ON c.oid = m.tableoid WHERE payload = 'frozen'}) eq 't'
	  or die 'the row is not frozen';
	my $writer = $node->background_psql('postgres');
	$writer->query_safe('BEGIN; SAVEPOINT s;' . $send->('savepoint of an open transaction') . 'RELEASE s');
	$node->safe_psql('postgres', 'BEGIN; SAVEPOINT s;' . $send->('prepared') . "RELEASE s; PREPARE TRANSACTION 'open'");
	$node->safe_psql('postgres', 'BEGIN; SAVEPOINT s;' . $send->('savepoint') . 'RELEASE s; SAVEPOINT s;'
		. $send->('undone') . 'ROLLBACK TO s; COMMIT');
	$node->safe_psql('postgres', 'BEGIN;' . $send->('undone') . 'ROLLBACK');
	$node->safe_psql('postgres', qq{UPDATE eventuate.message SET creation_time = 1 WHERE destination = '$topic' AND payload IN ('before', 'updated')});

	# A restart ends the open transaction, not the prepared one.
	my $restarts = $what =~ /WAL/;
	$writer->query_safe('COMMIT') if $restarts;
	$lose->();
	$node->safe_psql('postgres', $send->('after'));
	$node->safe_psql('postgres', 'SELECT eventuate_resume()');
	wait_for_state($node, 'postgres', 'recovering');
	wait_for_records($kafka, $topic, $restarts ? 6 : 5);
	$writer->query_safe('COMMIT') unless $restarts;
	eval { $writer->quit };
	$node->safe_psql('postgres', q{COMMIT PREPARED 'open'});
	wait_for_state($node, 'postgres', 'streaming');
	$node->safe_psql('postgres', $send->('streaming'));
	wait_caught_up($node);
	is_deeply([ sort(payloads($topic)) ],
		[ sort('before', 'frozen', 'updated', 'savepoint', 'savepoint of an open transaction', 'prepared', 'after', 'streaming') ],
		"$what: everything comes, once");
	like(substr(slurp_file($node->logfile), $position), $said, "$what: the log says so");
	is($node->safe_psql('postgres', q{SELECT active_pid = pid FROM pg_replication_slots NATURAL JOIN pg_stat_eventuate}),
		't', "$what: there is a new slot");
}

sub set
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_[0] = '$_[1]'");
	$node->reload;
}

sub write_wal
{
	$node->safe_psql('postgres', q{SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1024 * 1024)) FROM generate_series(1, 8)});
	$node->safe_psql('postgres', 'CHECKPOINT');
}

sub payloads
{
	return payloads_of(consume($kafka, $_[0]));
}
