# What becomes of the outbox tables while messages flow: altered, rewritten,
# emptied, replaced.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
my $pid = publisher_pid($node);

sub payloads { return map { $_->{value} =~ /"payload":"((?:[^"\\]|\\.)*)"/ ? $1 : $_->{value} } @_; }

sub run
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database // 'postgres', $sql);
}

sub refused
{
	my ($sql, $error, $what, $database) = @_;
	my ($status, $out, $err) = $node->psql($database // 'postgres', $sql);
	like($err, $error, $what);
}

# Altered and rewritten under load, with messages in between each.
prepare_load($node);
my $load = start_load($node, 'load');
foreach my $command (
	'ALTER TABLE eventuate.message ADD COLUMN note text',
	'ALTER TABLE eventuate.message ADD COLUMN noise float8 DEFAULT random()',
	'VACUUM FULL eventuate.message',
	'ALTER TABLE eventuate.message DROP COLUMN note',
	'CLUSTER eventuate.message USING message_pkey',
	'ALTER TABLE eventuate.message ALTER id TYPE text, ALTER payload TYPE varchar',
	'ALTER TABLE eventuate.message ALTER payload TYPE varchar(100)',
	'VACUUM FREEZE eventuate.message',
	'ALTER TABLE eventuate.message DROP COLUMN noise, DROP COLUMN message_partition')
{
	my $sent = load_sent($node, 'load');
	wait_until('messages', sub { load_sent($node, 'load') > $sent });
	run($command);
}
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'load', 'altered under load', once => 1);

# Within the transaction that sends.
run(q{
	BEGIN;
	SELECT eventuate_send('within', 'before', 'k');
	ALTER TABLE eventuate.message ADD COLUMN late int DEFAULT 7;
	SELECT eventuate_send('within', 'added', 'k');
	ALTER TABLE eventuate.message DROP COLUMN late;
	SELECT eventuate_send('within', 'dropped', 'k');
	SAVEPOINT s;
	ALTER TABLE eventuate.message DROP COLUMN payload;
	ROLLBACK TO s;
	SELECT eventuate_send('within', 'put back', 'k');
	COMMIT});
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'within')) ], [ 'before', 'added', 'dropped', 'put back' ],
	'each row is read with the columns of its time');

# Other types: those that are text to us go on, the others are refused to who
# uses the functions, and make dead letters of what comes by INSERT.
run(q{ALTER TABLE eventuate.message RENAME TO kept;
	CREATE TABLE eventuate.message (LIKE eventuate.kept INCLUDING ALL);
	ALTER TABLE eventuate.message ALTER headers TYPE jsonb USING headers::jsonb, ALTER payload TYPE jsonb USING payload::jsonb});
run(q{SELECT eventuate_send('types', '{"a":   1}', 'k')});
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'types')) ], ['{\"a\": 1}'], 'payload and headers can be jsonb');
run(q{TRUNCATE eventuate.message; ALTER TABLE eventuate.message ALTER headers TYPE int8 USING 0});
refused(q{SELECT eventuate_send('types', '{}')}, qr/invalid input syntax for type bigint/,
	'what does not fit is refused to who sends');
run(q{INSERT INTO eventuate.message (id, destination, headers, payload) VALUES (1, 'types', 1, '2')});
run(q{SELECT eventuate_produce('types', 'of the other table', 'k')});
wait_caught_up($node);
is(run('SELECT reason FROM eventuate.dead_letter'),
	'row "?" of table "message" cannot be published: the column "headers" is not of type text or json',
	'and becomes a dead letter otherwise');
is((payloads(consume($kafka, 'types')))[-1], 'of the other table', 'the others flow');
run(q{DROP TABLE eventuate.message; ALTER TABLE eventuate.kept RENAME TO message});
refused(q{ALTER TABLE eventuate.message ALTER txid DROP DEFAULT, ALTER txid TYPE int8 USING 0; SELECT eventuate_send('types', '{}')},
	qr/column "txid" is of type bigint but expression is of type xid8/, 'so is a txid of another type');
run(q{ALTER TABLE eventuate.message DROP COLUMN txid; SELECT eventuate_send('types', 'without txid', 'k')});
wait_caught_up($node);
is((payloads(consume($kafka, 'types')))[-1], 'without txid', 'without a txid it goes on');

# Emptied; filled by COPY.
run(q{SELECT eventuate_send('emptied', '1'); TRUNCATE eventuate.message, eventuate.record;
	BEGIN; SELECT eventuate_send('emptied', '2'); TRUNCATE eventuate.message; COMMIT;
	SELECT eventuate_send('emptied', '3')});
run(qq{COPY eventuate.message (id, destination, headers, payload) FROM stdin;\n} .
	join('', map { qq{c$_\temptied\t{"ID":"c$_","PARTITION_ID":"k"}\tcopied $_\n} } 1 .. 100) . "\\.\n");
wait_caught_up($node);
is_deeply([ sort(payloads(consume($kafka, 'emptied'))) ], [ sort(1 .. 3, map { "copied $_" } 1 .. 100) ],
	'what was sent before TRUNCATE arrives; rows of COPY do');

# What would take messages out of sight.
refused('ALTER TABLE eventuate.message SET UNLOGGED', qr/cannot be unlogged because it is an outbox/, 'an outbox stays logged');
refused('DROP TABLE eventuate.record', qr/extension eventuate requires it/, 'a table of the extension is not dropped alone');
refused('DROP SCHEMA eventuate CASCADE', qr/extension eventuate requires it/, 'nor is its schema');
refused('ALTER TABLE eventuate.message RENAME TO kept; CREATE VIEW v AS SELECT 1; ALTER VIEW v RENAME TO message; ALTER VIEW message SET SCHEMA eventuate',
	qr/WARNING: .*"eventuate.message" is not an outbox/, 'of what cannot be read in its place there is a warning');
run('DROP VIEW eventuate.message; ALTER TABLE eventuate.kept RENAME TO message');
is(publisher_pid($node), $pid, 'all that in the same process');

# Tables that Tram's scripts made can be dropped and made again.
my $table = q{CREATE TABLE eventuate.message (id varchar(1000) PRIMARY KEY, destination text NOT NULL,
	headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint);};
my $row = q{INSERT INTO eventuate.message (id, destination, headers, payload) SELECT id, 'adopted', '{"PARTITION_ID":"k","ID":"' || id || '"}', id FROM};
run('CREATE DATABASE adopted');
run("CREATE SCHEMA eventuate; $table; CREATE EXTENSION eventuate", 'adopted');
wait_for_state($node, 'adopted', 'streaming');
run(qq{$row unnest(ARRAY['first']) AS id}, 'adopted');
run(qq{BEGIN; $row unnest(ARRAY['of the old table']) AS id; DROP TABLE eventuate.message;
	$table $row unnest(ARRAY['of the new table']) AS id; COMMIT}, 'adopted');
run(qq{$row unnest(ARRAY['afterwards']) AS id; SELECT eventuate_send('adopted', 'sent', 'k')}, 'adopted');
wait_caught_up($node, 'adopted');
my @adopted = payloads(consume($kafka, 'adopted'));
is_deeply(\@adopted, [ 'first', 'of the old table', 'of the new table', 'afterwards', 'sent' ],
	'a table that is dropped and made again is published');

# Its schema takes the extension with it.
run('DROP SCHEMA eventuate CASCADE', 'adopted');
wait_for_query($node, 'postgres', 'SELECT count(*) FROM pg_stat_eventuate', 1);
is(run('SELECT count(*) FROM pg_replication_slots'), 1, 'DROP SCHEMA CASCADE leaves no slot');
run("CREATE SCHEMA eventuate; $table; CREATE EXTENSION eventuate", 'adopted');
wait_for_state($node, 'adopted', 'streaming');
run(q{SELECT eventuate_send('adopted', 'all new')}, 'adopted');
wait_caught_up($node, 'adopted');
is(scalar(consume($kafka, 'adopted')), @adopted + 1, 'created again it publishes, and nothing twice');

done_testing();
