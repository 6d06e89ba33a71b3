# eventuate.send_mode = wal: the same records, in the same order, with the same
# rights; no row; and nobody else's logical messages.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "max_prepared_transactions = 5\n");
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]) }
sub refused
{
	my ($sql, $pattern, $name) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	return like($err, $pattern, $name);
}
sub rows { return run('SELECT (SELECT count(*) FROM eventuate.message) + (SELECT count(*) FROM eventuate.record)') }
sub masked
{
	return [ map {
		my $text = join('|', map { $_ // 'null' } $_->{key}, $_->{value}, map { @$_ } @{ $_->{headers} // [] });
		$text =~ s/[0-9a-f]{16}-[0-9a-f]{16}/<id>/g;
		$text =~ s/"DATE":"[^"]+"/<date>/g;
		$text =~ s/(wal|table)-/<mode>-/gr;
	} @_ ];
}

# The same calls in both modes.
sub send_all
{
	my ($mode) = @_;
	my $big = '(SELECT string_agg(md5(i::text), \'\') FROM generate_series(1, 10000) AS i)';

	run(qq{SET eventuate.send_mode = '$mode';
		CREATE TEMP TABLE toasted AS SELECT $big AS value, jsonb_build_object('h', $big) AS headers;
		SELECT eventuate_send('$mode-all', '{"a":1}', 'k', '{"h": "1"}');
		SELECT eventuate_send('$mode-all', '{"a": 1}'::jsonb, 'k');
		SELECT eventuate_produce('$mode-all', 'v', 'k', '{"h": "1"}');
		SELECT eventuate_produce('$mode-all', NULL, 'k');
		SELECT eventuate_produce('$mode-all', '\\x00ff'::bytea, 'k', '[{"key": "a", "value": null}, {"key": "b", "base64": "AP8="}]');
		SELECT eventuate_send('$mode-all', value, 'k'), eventuate_produce('$mode-all', 'v', 'k', headers) FROM toasted;
		SELECT eventuate_publish('$mode-all', 'k', 'E', '{}');
		BEGIN; SELECT eventuate_send('$mode-all', 'prepared', 'k'); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';
		BEGIN;
		SELECT eventuate_send('$mode-all', 'first', 'k');
		SET LOCAL eventuate.send_mode = 'table';
		SELECT eventuate_send('$mode-all', 'second, a row', 'k');
		SAVEPOINT s;
		SET LOCAL eventuate.send_mode = '$mode';
		SELECT eventuate_send('$mode-all', 'rolled back', 'k');
		ROLLBACK TO s;
		SET LOCAL eventuate.send_mode = '$mode';
		SAVEPOINT s;
		SELECT eventuate_send('$mode-all', 'third', 'k');
		RELEASE s;
		COMMIT;
		BEGIN; SELECT eventuate_send('$mode-all', 'rolled back', 'k'); ROLLBACK});
	wait_caught_up($node);
	return masked(consume($kafka, "$mode-all"));
}

my $of_tables = send_all('table');
my $before = rows();
my $of_wal = send_all('wal');
is(scalar(@$of_tables), 12, 'everything that was sent, once');
is_deeply($of_wal, $of_tables, 'the same records in the same order');
is(rows() - $before, 1, 'and no row but the one that was asked for');

# Rows and messages by turns, in subtransactions of their own: PostgreSQL's
# decoding has the same position for a message and for what follows it.
run(q{DO $$
	DECLARE i int; mode text; other text;
	BEGIN
		FOR i IN 1 .. 60 LOOP
			mode = CASE WHEN i % 2 = 0 THEN 'wal' ELSE 'table' END;
			IF i % 3 = 0 THEN
				PERFORM set_config('eventuate.send_mode', mode, true), eventuate_send('turns', i::text, 'k');
			ELSE
				BEGIN
					PERFORM set_config('eventuate.send_mode', mode, true), eventuate_send('turns', i::text, 'k');
				EXCEPTION WHEN division_by_zero THEN
				END;
			END IF;
		END LOOP;
	END $$});
wait_caught_up($node);
is_deeply([ map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, 'turns') ], [ 1 .. 60 ],
	'rows and messages of subtransactions are in the order in which they were sent');

# The rights are those of the table: privilege, policy, constraint, trigger.
run(q{CREATE ROLE app; CREATE ROLE other;
	GRANT INSERT ON eventuate.message, eventuate.record TO app});
refused(q{SET ROLE other; SET eventuate.send_mode = wal; SELECT eventuate_send('rights', '{}')},
	qr/permission denied for table message/, 'INSERT is what counts');
run(q{ALTER TABLE eventuate.message ENABLE ROW LEVEL SECURITY;
	CREATE POLICY orders ON eventuate.message FOR INSERT TO app WITH CHECK (destination = 'rights')});
refused(q{SET ROLE app; SET eventuate.send_mode = wal; SELECT eventuate_send('forbidden', '{}')},
	qr/violates row-level security policy/, 'a policy holds');
run(q{SET ROLE app; SET eventuate.send_mode = wal; SELECT eventuate_send('rights', 'allowed', 'k')});
run(q{ALTER TABLE eventuate.record ADD CONSTRAINT no_v CHECK (value <> 'no')});
refused(q{SET ROLE app; SET eventuate.send_mode = wal; SELECT eventuate_produce('rights', 'no', 'k')},
	qr/violates check constraint "no_v"/, 'a constraint holds');
run(q{CREATE FUNCTION other_key() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.key = 'other'; RETURN NEW; END$$;
	CREATE TRIGGER t BEFORE INSERT ON eventuate.record FOR EACH ROW EXECUTE FUNCTION other_key();
	SET eventuate.send_mode = wal;
	SELECT eventuate_produce('rights', 'triggered', 'k')});
wait_caught_up($node);
is_deeply([ map { $_->{key} } consume($kafka, 'rights') ], [ 'k', 'other' ], 'a trigger fires');
run('ALTER TABLE eventuate.message DISABLE ROW LEVEL SECURITY; DROP TRIGGER t ON eventuate.record');

# Forged and copied messages.  What ours look like in WAL only a superuser can
# see; suppose that somebody has seen it.
run(q{CREATE PUBLICATION look;
	SELECT pg_create_logical_replication_slot('look', 'pgoutput');
	CREATE TABLE seen (content bytea, xid xid8);
	GRANT SELECT ON seen TO other;
	BEGIN;
	SET LOCAL eventuate.send_mode = wal;
	SELECT eventuate_send('forged', 'once', 'k'), pg_current_xact_id() AS xid \gset
	COMMIT;
	-- Behind the first 24 bytes of pgoutput's own
	INSERT INTO seen SELECT substring(data FROM 25), :xid::text::xid8 FROM pg_logical_slot_get_binary_changes('look', NULL, NULL,
		'proto_version', '1', 'publication_names', 'look', 'messages', 'true') WHERE get_byte(data, 0) = ascii('M');
	-- A number as it is in a frame and in a row
	CREATE FUNCTION bytes(xid8) RETURNS text LANGUAGE sql AS $$
		SELECT string_agg(substr(hex, i, 2), '' ORDER BY i DESC)
		FROM (SELECT encode(int8send($1::text::int8), 'hex')) AS x(hex), generate_series(1, 15, 2) AS i $$});
is(run(q{SELECT count(*) FROM seen WHERE encode(content, 'hex') LIKE '%' || bytes(xid) || '%' || bytes(xid) || '%'}), 1,
	'the message was seen, with its transaction in frame and row');
my $forge = sub {
	my ($content) = @_;
	run(qq{SET ROLE other; SELECT pg_logical_emit_message(true, 'eventuate', $content) FROM seen});
};
my $ours = q{decode(replace(encode(content, 'hex'), bytes(xid), bytes(pg_current_xact_id())), 'hex')};
$forge->('content');
$forge->($ours);
$forge->(qq{overlay($ours PLACING substring(content FROM 33 FOR 8) FROM 33)});
$forge->(q{'x'::bytea});
$forge->(q{''::bytea});
$forge->(q{substring(content FOR 40)});
$forge->(q{content || 'x'::bytea});
run(q{SET ROLE other; SELECT pg_logical_emit_message(false, 'eventuate', content) FROM seen});
run(q{SELECT eventuate_send('forged', 'the end', 'k')});
wait_caught_up($node);
is_deeply([ map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'forged') ], [ 'once', 'the end' ],
	'what others write to WAL is not published');
is(run('SELECT count(*) FROM eventuate.dead_letter'), 0, 'nor a dead letter');

# Where no slot would keep it a row is written.
run('SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$before = rows();
run(q{SET eventuate.send_mode = wal; SELECT eventuate_send('paused', 'kept', 'k')});
is(rows() - $before, 1, 'without a slot that is read a row is written');
run('SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is(scalar(consume($kafka, 'paused')), 1, 'and published');

# A slot that alone has a message is not given up; one that is lost is
# complained of.
is(run('SELECT wal_messages FROM eventuate.progress'), 't', 'that there are such messages is remembered');
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
run(q{SET eventuate.send_mode = wal; SELECT eventuate_send('waiting', 'in WAL only', 'k')});
$node->append_conf('postgresql.conf', 'eventuate.max_wal = 32MB');
$node->restart;
run(q{CREATE TABLE ballast AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 1000)});
run('INSERT INTO ballast SELECT * FROM ballast; SELECT pg_switch_wal()') for 1 .. 6;
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is(scalar(consume($kafka, 'waiting')), 1, 'a slot that alone has a message is kept');

# Nor if the transaction is still open, and others are published behind it.
my $open = $node->background_psql('postgres', on_error_stop => 1);
$open->query_safe(q{BEGIN; SET LOCAL eventuate.send_mode = wal; SELECT eventuate_send('open', 'in WAL only', 'k')});
run(q{SELECT eventuate_send('open', 'published', 'k')});
wait_caught_up($node);
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
run(q{SELECT eventuate_send('open', 'waits', 'k')});
run('INSERT INTO ballast SELECT * FROM ballast LIMIT 40000; SELECT pg_switch_wal()');
cmp_ok(stat_of($node, 'lag_bytes'), '>', 32 * 1024 * 1024, 'more waits than the slot may hold back');
my $pid = publisher_pid($node);
kill 'TERM', $pid;
wait_until('another publisher', sub { (Eventuate::ask($node, 'postgres', 'SELECT pid FROM pg_stat_eventuate') || $pid) != $pid });
wait_for_state($node, 'postgres', 'waiting');
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
$open->query_safe('COMMIT');
$open->quit;
wait_caught_up($node);
is_deeply([ map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'open') ], [ 'published', 'waits', 'in WAL only' ],
	'a slot that has a message of an open transaction is kept');

# When one is lost that has such a message, its transaction cannot be committed.
sub lose_slot
{
	run('SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	run(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'eventuate%'});
	return;
}
$open = $node->background_psql('postgres', on_error_stop => 0);
$open->query(q{BEGIN; SET LOCAL eventuate.send_mode = wal; SELECT eventuate_send('open', 'not to be lost', 'k')});
run(q{SELECT eventuate_send('open', 'behind it', 'k')});
wait_caught_up($node);
lose_slot();
run('SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'recovering');
my $log = -s $node->logfile;
$open->query('COMMIT');
wait_for_log($node, qr/ERROR: .*messages of this transaction would not be published/, $log);
$open->quit;
wait_for_state($node, 'postgres', 'streaming');
run(q{SET eventuate.send_mode = wal; SELECT eventuate_send('open', 'on the new slot', 'k')});
wait_caught_up($node);
is((map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'open'))[-1], 'on the new slot', 'with a new slot messages flow again');

lose_slot();
run(q{DELETE FROM eventuate.message});
$log = -s $node->logfile;
$node->restart;
run('SELECT eventuate_resume()');
wait_for_log($node, qr/WARNING: .*messages that were written to WAL only may be lost/, $log);
pass('the loss of a slot is complained of');

done_testing();
