# Messages leave in the order of commits, within a transaction in the order of
# sending; and nothing but rows inserted into the outboxes leaves at all.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	conf => "max_connections = 20\nautovacuum = off\n");
wait_for_state($node, 'postgres', 'streaming');
$kafka->create_topic('one', 1);

# What has come to the topic since the last call, when all that is committed
# is published.
my %seen;

sub published
{
	my ($topic) = @_;
	wait_caught_up($node);
	my @records = consume($kafka, $topic);
	splice @records, 0, $seen{$topic} || 0;
	$seen{$topic} += @records;
	return [ payloads_of(@records) ];
}

sub send_sql { return "SELECT eventuate_send('one', '$_[0]', '" . ($_[1] // 'k') . "');"; }

# ---------------------------------------------------------------------
# Transactions in each other's way
# ---------------------------------------------------------------------
my ($a, $b, $c) = map { $node->background_psql('postgres') } 1 .. 3;

$a->query_safe('BEGIN; ' . send_sql('A1'));
$b->query_safe('BEGIN; ' . send_sql('B1'));
$a->query_safe(send_sql('A2'));
$b->query_safe(send_sql('B2'));
$b->query_safe('COMMIT');
is_deeply(published('one'), [qw(B1 B2)], 'what is committed does not wait for what is not');
$a->query_safe('COMMIT');
is_deeply(published('one'), [qw(A1 A2)], 'commits count, not sending');

# All at once, so that the decoder sees all of it in one go.
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$a->query_safe('BEGIN; ' . send_sql('a1'));
$b->query_safe('BEGIN; ' . send_sql('b1'));
$c->query_safe('BEGIN; ' . send_sql('c1'));
$b->query_safe(send_sql('b2'));
$a->query_safe('SAVEPOINT s; ' . send_sql('a2') . 'SAVEPOINT t; ' . send_sql('a3') . 'RELEASE t; ' . send_sql('a4'));
$c->query_safe('SAVEPOINT s; ' . send_sql('undone') . 'ROLLBACK TO s; ' . send_sql('c2') . 'RELEASE s');
$b->query_safe('SAVEPOINT s; ' . send_sql('undone') . 'SAVEPOINT t; ' . send_sql('undone') . 'RELEASE t; ROLLBACK TO s; COMMIT');
$c->query_safe(send_sql('c3') . 'COMMIT');
$a->query_safe('RELEASE s; ' . send_sql('a5') . 'COMMIT');
$b->query_safe('BEGIN; ' . send_sql('undone') . 'ROLLBACK');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
is_deeply(published('one'), [qw(b1 b2 c1 c2 c3 a1 a2 a3 a4 a5)],
	'three transactions with savepoints, in the order of their commits');

# An exception that is caught is a savepoint as well.
$node->safe_psql('postgres', q{
	DO $$
	BEGIN
		PERFORM eventuate_send('one', 'before', 'k');
		BEGIN
			PERFORM eventuate_send('one', 'undone', 'k');
			PERFORM 1 / 0;
		EXCEPTION WHEN division_by_zero THEN
			PERFORM eventuate_send('one', 'caught', 'k');
		END;
		PERFORM eventuate_send('one', 'after', 'k');
	END
	$$;});
is_deeply(published('one'), [qw(before caught after)], 'an exception block');

# ---------------------------------------------------------------------
# Two-phase commit
# ---------------------------------------------------------------------
$a->query_safe('BEGIN; ' . send_sql('p1') . 'SAVEPOINT s; ' . send_sql('undone') . 'ROLLBACK TO s; ' . send_sql('p2') . q{PREPARE TRANSACTION 'p'});
$b->query_safe('BEGIN; ' . send_sql('undone') . q{PREPARE TRANSACTION 'q'});
$c->query_safe(send_sql('during'));
is_deeply(published('one'), ['during'], 'what is prepared is not committed');
$b->query_safe(q{ROLLBACK PREPARED 'q'});
$c->query_safe(q{COMMIT PREPARED 'p'});
$c->query_safe(send_sql('later'));
is_deeply(published('one'), [qw(p1 p2 later)], 'COMMIT PREPARED publishes, ROLLBACK PREPARED does not');

$a->query_safe('BEGIN; ' . send_sql('prepared') . q{PREPARE TRANSACTION 'p'});
$_->quit foreach $a, $b, $c;
$node->restart;
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', send_sql('restarted'));
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
is_deeply(published('one'), [qw(restarted prepared)], 'a prepared transaction outlives the server');

# ---------------------------------------------------------------------
# Both outboxes, and rows by INSERT among them
# ---------------------------------------------------------------------
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT eventuate_send('one', 'm1', 'k');
	SELECT eventuate_produce('one', 'r2', 'k');
	INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('zzz', 'one', '{"ID":"3"}', 'm3');
	INSERT INTO eventuate.record (id, topic, value) VALUES ('000', 'one', 'r4');
	SELECT eventuate_produce('one', 'r5', 'k');
	SELECT eventuate_send('one', 'm6', 'k');
	INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('aaa', 'one', '{"ID":"7"}', 'm7'), ('AAA', 'one', '{"ID":"8"}', 'm8');
	COPY eventuate.record (topic, value) FROM stdin;
one	\\\\x7239
one	\\\\x723130
\.
	SELECT eventuate_send('one', 'm11', 'k');
	COMMIT;});
is_deeply(published('one'), [qw(m1 r2 m3 r4 r5 m6 m7 m8 r9 r10 m11)],
	'messages and records of a transaction, in the order of sending');

# ---------------------------------------------------------------------
# Rows that are changed, and other tables
# ---------------------------------------------------------------------
$node->safe_psql('postgres', q{
	CREATE TABLE message (LIKE eventuate.message INCLUDING ALL);
	CREATE TABLE record (LIKE eventuate.record INCLUDING ALL);
	CREATE TABLE eventuate.messages (LIKE eventuate.message INCLUDING DEFAULTS);
	INSERT INTO message (id, destination, headers, payload) SELECT id, destination, headers, 'other' FROM eventuate.message;
	INSERT INTO record (topic, value) SELECT topic, 'other' FROM eventuate.record;
	INSERT INTO eventuate.messages (id, destination, headers, payload) SELECT id, destination, headers, 'other' FROM eventuate.message;
	UPDATE eventuate.message SET published = 1;
	UPDATE eventuate.message SET published = 0, payload = 'updated', txid = pg_current_xact_id();
	UPDATE eventuate.record SET value = 'updated', txid = pg_current_xact_id();
	INSERT INTO eventuate.message (id, destination, headers, payload) SELECT id, destination, headers, 'conflict' FROM eventuate.message
		ON CONFLICT (id) DO NOTHING;
	INSERT INTO eventuate.message (id, destination, headers, payload) SELECT id, destination, headers, 'conflict' FROM eventuate.message
		ON CONFLICT (id) DO UPDATE SET payload = 'conflict';
	DELETE FROM eventuate.message WHERE id < '1';
	DELETE FROM eventuate.record WHERE id < '1';
	TRUNCATE eventuate.message, eventuate.record;
	ALTER TABLE message ADD COLUMN i int DEFAULT random();
	VACUUM FULL eventuate.message;});
my $messages = stat_of($node, 'messages');
$node->safe_psql('postgres', send_sql('last'));
is_deeply(published('one'), ['last'], 'UPDATE, DELETE, TRUNCATE and other tables publish nothing');
is(stat_of($node, 'messages') - $messages, 1, 'not anywhere else either');

# A rewrite of the table is no sending.
$node->safe_psql('postgres', q{
	ALTER TABLE eventuate.message ALTER message_partition TYPE int4;
	CLUSTER eventuate.message USING message_pkey;});
$node->safe_psql('postgres', 'BEGIN; ' . send_sql('rewritten') . 'ALTER TABLE eventuate.message ALTER message_partition TYPE int8; COMMIT');
is_deeply(published('one'), ['rewritten'], 'nor does a rewrite of the table');

# ---------------------------------------------------------------------
# What a subscription applies was another database's to publish
# ---------------------------------------------------------------------
my $publisher = new_node('publisher', kafka => $kafka);
wait_for_state($publisher, 'postgres', 'streaming');
$publisher->safe_psql('postgres',
	# Without the column txid rows have that of the transaction that applies them.
	q{CREATE TABLE plain (i int);
	  CREATE PUBLICATION outboxes FOR TABLE eventuate.message (id, destination, headers, payload), eventuate.record, plain});
$node->safe_psql('postgres', 'CREATE TABLE plain (i int); ALTER TABLE eventuate.message ALTER message_partition TYPE int2');
my $connection = $publisher->connstr('postgres') =~ s/'/''/gr;
$publisher->safe_psql('postgres', q{SELECT eventuate_send('replicated', 'copied', 'k')});
$node->safe_psql('postgres', "CREATE SUBSCRIPTION outboxes CONNECTION '$connection' PUBLICATION outboxes");
wait_for_query($node, 'postgres', q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel});
wait_for_query($node, 'postgres', q{SELECT count(*) FROM eventuate.message WHERE payload = 'copied'}, 1);
$publisher->safe_psql('postgres', q{
	BEGIN;
	SELECT eventuate_send('replicated', 'applied', 'k');
	SELECT eventuate_produce('replicated', 'applied record', 'k');
	INSERT INTO plain VALUES (1);
	COMMIT;});
wait_for_query($node, 'postgres', 'SELECT count(*) FROM plain', 1);
is($node->safe_psql('postgres', q{SELECT string_agg(payload, ',' ORDER BY id) FROM eventuate.message WHERE destination = 'replicated'}),
	'copied,applied', 'rows are replicated into the outbox');
wait_caught_up($publisher);
$node->safe_psql('postgres', q{SELECT eventuate_send('replicated', 'own', 'k')});
is_deeply(published('replicated'), [ 'copied', 'applied', 'applied record', 'own' ],
	'and are published once, where they were sent');

$node->safe_psql('postgres', 'DROP SUBSCRIPTION outboxes');
is(stat_of($node, 'last_error'), '', 'nothing was wrong with any row');

done_testing();
