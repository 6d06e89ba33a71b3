# What others do to tables, locks, labels and slots must lose no message and
# crash nobody.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, restart_after_crash => 1);
wait_for_state($node, 'postgres', 'streaming');

sub payloads { return map { $_->{value} =~ /"payload":"([^"]*)"/ } @_; }

sub lose_slot
{
	$node->safe_psql('postgres', q{SELECT eventuate_pause()});
	wait_for_state($node, 'postgres', 'paused');
	$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate
		WHERE EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.slot_name = pg_stat_eventuate.slot_name)});
}

# A rewrite of the table while recovery is about to read it.
lose_slot();
$node->safe_psql('postgres', qq{SELECT eventuate_send('rewritten', '$_', 'k')}) foreach 1 .. 3;
my $owner = $node->background_psql('postgres');
$owner->query_safe('BEGIN; ALTER TABLE eventuate.message ADD COLUMN z float8 DEFAULT random()');
$node->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_query($node, 'postgres',
	q{SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type = 'eventuate publisher' AND NOT granted});
$owner->query_safe('COMMIT');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'rewritten')) ], [ 1, 2, 3 ], 'a rewritten table is read whole');

# Rows with the txid of another cluster, however young this one is.
$node->safe_psql('postgres', q{
	INSERT INTO eventuate.message (id, destination, headers, payload, txid)
	SELECT 'r', 'restored', '{"ID":"r"}', 'p', (pg_current_xact_id()::text::int8 + 10)::text::xid8});
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') foreach 1 .. 15;
lose_slot();
$node->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('restored', 'own', 'k')});
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'restored')) ], ['own'], 'a restored row is not ours to publish');

# Somebody sits on the row of eventuate.progress.
my $pid = publisher_pid($node);
my $sitter = $node->background_psql('postgres');
$sitter->query_safe('BEGIN; SELECT eventuate_pause()');
my $log = log_position($node);
foreach my $i (1 .. 3)
{
	# Longer than the interval at which progress is stored.
	my $stop = time + 4;
	while (time < $stop)
	{
		$node->safe_psql('postgres', qq{SELECT eventuate_send('locked', '$i', 'k')});
		wait_caught_up($node);
	}
}
is(publisher_pid($node), $pid, 'a locked row does not stop the publisher');
unlike(substr(slurp_file($node->logfile), $log), qr/lock timeout/, 'nor does it wait for it');
$sitter->query_safe('ROLLBACK');
$sitter->quit;

# A label on a table that has been decoded before.
$node->safe_psql('postgres', q{
	CREATE TABLE box (LIKE eventuate.message INCLUDING DEFAULTS);
	INSERT INTO box (id, destination, headers, payload, published) VALUES ('1', 'labelled', '{"ID":"1"}', 'before', 0)});
wait_caught_up($node);
$node->safe_psql('postgres', q{SECURITY LABEL FOR eventuate ON TABLE box IS '{"format": "eventuate"}'});
$node->safe_psql('postgres', q{INSERT INTO box (id, destination, headers, payload, published) VALUES ('2', 'labelled', '{"ID":"2"}', 'after', 0)});
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'labelled')) ], ['after'], 'a label counts from its commit on');
$node->safe_psql('postgres', q{SECURITY LABEL FOR eventuate ON TABLE box IS NULL});
$node->safe_psql('postgres', q{INSERT INTO box (id, destination, headers, payload, published) VALUES ('3', 'labelled', '{"ID":"3"}', 'no more', 0)});
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'labelled')) ], ['after'], 'as does its end');

# What cannot be read cannot be labelled.
$node->safe_psql('postgres', 'CREATE VIEW v AS SELECT * FROM box; CREATE UNLOGGED TABLE unlogged (LIKE box); CREATE ROLE app; ALTER TABLE box OWNER TO app; GRANT CREATE ON SCHEMA public TO app');
foreach my $relation (qw(v unlogged))
{
	my ($status, $out, $err) = $node->psql('postgres', qq{SECURITY LABEL FOR eventuate ON @{[$relation eq 'v' ? 'VIEW' : 'TABLE']} $relation IS '{"format": "eventuate"}'});
	like($err, qr/only a table can have a label/, "$relation cannot be labelled");
}
my ($status, $out, $err) = $node->psql('postgres', q{SET ROLE app; SECURITY LABEL FOR eventuate ON TABLE box IS '{"format": "eventuate"}'});
like($err, qr/permission denied to set a label/, 'nor may the owner of a table do it');

# An outbox whose owner makes it unreadable: its rows are dead letters.
$node->safe_psql('postgres', q{SECURITY LABEL FOR eventuate ON TABLE box IS '{"format": "eventuate"}'});
$node->safe_psql('postgres', q{DROP VIEW v; TRUNCATE box; SET ROLE app; ALTER TABLE box ALTER COLUMN headers TYPE bigint USING 1});
lose_slot();
$node->safe_psql('postgres', q{INSERT INTO box (id, destination, headers, payload, published) VALUES ('4', 'labelled', 1, 'unreadable', 0)});
$node->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_state($node, 'postgres', 'streaming');
is($node->safe_psql('postgres', 'SELECT reason FROM eventuate.dead_letter'),
	'row "?" of table "box" cannot be published: the column "headers" is not of type text or json',
	'rows that recovery cannot read are dead letters');
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'nobody has crashed');

# The publisher's slot read by somebody else, or made by him: messages would be
# missing, and nobody would know.
$node->safe_psql('postgres', q{SELECT eventuate_pause()});
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', q{SELECT eventuate_send('slot', 'unread', 'k')});
my $slot = stat_of($node, 'slot_name');
reserved("SELECT * FROM pg_logical_slot_get_changes('$slot', NULL, NULL)", 'read');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$slot')");
reserved("SELECT pg_create_logical_replication_slot('$slot', 'eventuate')", 'made');
$node->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'slot')) ], ['unread'], 'nobody takes messages from the publisher');

# A slot of ours that the extension left behind; a slot that is not ours.
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
$node->safe_psql('postgres', q{ALTER SYSTEM SET eventuate.databases = ''});
$node->reload;
wait_for_state($node, 'postgres', 'stopped');
$node->safe_psql('postgres', 'DROP EXTENSION eventuate CASCADE');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET eventuate.databases});
$node->restart;
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_replication_slots}, 0);
pass('a slot that was left behind goes');

$node->safe_psql('postgres', "CREATE DATABASE other");
$node->safe_psql('other', "SELECT pg_create_logical_replication_slot('eventuate_$oid', 'test_decoding')");
$node->safe_psql('postgres', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'postgres', 'stopped');
like(stat_of($node, 'last_error'), qr/was not made by eventuate/, 'a slot that is not ours is not used');
$node->safe_psql('postgres', 'DROP EXTENSION eventuate CASCADE');
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate publisher'}, 0);
is($node->safe_psql('other', 'SELECT count(*) FROM pg_replication_slots'), 1, 'nor dropped');

done_testing();

# What nobody but the publisher may do with its slot.
sub reserved
{
	my ($sql, $what) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);

	like($err, qr/replication slot "eventuate_\d+" is for the publisher of this database only/,
		"the publisher's slot is $what by nobody else");
	return;
}
