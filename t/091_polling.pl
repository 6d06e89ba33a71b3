# Outboxes on a server where nothing can be installed: foreign tables whose
# rows are polled, published, then marked.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $remote = PostgreSQL::Test::Cluster->new('remote');
$remote->init;
$remote->start;
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->start;
my $node = new_node('main', kafka => $kafka, conf => "max_worker_processes = 12\n");

sub run { return $node->safe_psql('postgres', $_[0]); }

sub payloads { return map { $_->{value} =~ /"payload":"([^"]*)"/ } @_; }

# Rows of Tram's table, on another server.
sub insert
{
	my ($server, $topic, @ids) = @_;
	return map { qq{INSERT INTO message (id, destination, headers, payload) VALUES ('$_', '$topic', '{"ID":"$_","PARTITION_ID":"k"}', '$_')} } @ids;
}

sub state_of
{
	my ($table) = @_;
	return "SELECT state FROM pg_stat_eventuate_outbox WHERE relname = '$table'";
}

my $table = 'CREATE TABLE message (id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL,
	published smallint DEFAULT 0, message_partition smallint, creation_time bigint)';
foreach my $server ($remote, $other)
{
	$server->safe_psql('postgres', $table);
}
run(q{CREATE EXTENSION postgres_fdw; CREATE SCHEMA remote; CREATE SCHEMA other});
foreach my $server ([ 'remote', $remote ], [ 'other', $other ])
{
	my ($name, $of) = @$server;
	run(sprintf(q{CREATE SERVER %s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
		CREATE USER MAPPING FOR current_user SERVER %s;
		IMPORT FOREIGN SCHEMA public FROM SERVER %s INTO %s;
		ALTER FOREIGN TABLE %s.message RENAME TO %s},
		$name, $of->host, $of->port, $name, $name, $name, $name, $name));
	run("SELECT eventuate_attach('$name.$name', 'eventuate', reader => 'polling', poll_interval => '50ms')");
}

# Published in the order of ids, and marked.
$remote->safe_psql('postgres', join(';', 'BEGIN', insert($remote, 'polled', 'b', 'a', 'c'), 'COMMIT'));
is_deeply([ payloads(wait_for_records($kafka, 'polled', 3)) ], [ 'a', 'b', 'c' ], 'rows of a foreign table are published, by id');
$remote->poll_query_until('postgres', 'SELECT count(*) = 3 FROM message WHERE published = 1') or die;
wait_for_query($node, 'postgres', q{SELECT format || ' ' || reader || ' ' || options || ' ' || messages || ' ' || state
	FROM pg_stat_eventuate_outbox WHERE relname = 'remote'}, 'eventuate polling {"poll_interval": 50} 3 streaming');

# A commit that comes late, with an id smaller than what is published.
my $late = $remote->background_psql('postgres', on_error_stop => 1);
$late->query_safe('BEGIN');
$late->query_safe((insert($remote, 'polled', 'c5'))[0]);
$remote->safe_psql('postgres', (insert($remote, 'polled', 'd'))[0]);
wait_for_records($kafka, 'polled', 4);
$late->query_safe('COMMIT');
$late->quit;
is((payloads(wait_for_records($kafka, 'polled', 5)))[-1], 'c5', 'a late commit with a smaller id is published, too');

# A row that cannot be a message is no obstacle.
$remote->safe_psql('postgres', q{INSERT INTO message (id, destination, headers, payload) VALUES ('e', 'polled', 'none', 'x')});
$remote->safe_psql('postgres', (insert($remote, 'polled', 'f'))[0]);
is((payloads(wait_for_records($kafka, 'polled', 6)))[-1], 'f', 'behind a row that cannot be a message others flow');
wait_for_query($node, 'postgres', q{SELECT message_id || ': ' || reason FROM eventuate.dead_letter},
	q{e: row "e" of table "remote" cannot be published: headers are not a JSON object});
$remote->poll_query_until('postgres', 'SELECT count(*) = 0 FROM message WHERE published = 0') or die;

# Ended between publishing and marking: sent again, not lost.
my $locker = $remote->background_psql('postgres', on_error_stop => 1);
$remote->safe_psql('postgres', (insert($remote, 'polled', 'g'))[0]);
wait_for_records($kafka, 'polled', 7);
$remote->poll_query_until('postgres', q{SELECT published = 1 FROM message WHERE id = 'g'}) or die;
$locker->query_safe('BEGIN');
$locker->query_safe((insert($remote, 'polled', 'h'))[0]);
$locker->query_safe('COMMIT; BEGIN; LOCK TABLE message IN SHARE MODE');
wait_for_records($kafka, 'polled', 8);
run(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'eventuate poller'});
$locker->query_safe('COMMIT');
$locker->quit;
is_deeply([ (payloads(wait_for_records($kafka, 'polled', 9)))[ 7, 8 ] ], [ 'h', 'h' ], 'ended before it is marked, a row is sent again');
$remote->poll_query_until('postgres', q{SELECT count(*) = 0 FROM message WHERE published = 0}) or die;

# What is not acknowledged is not marked, also when the server crashes meanwhile.
$kafka->freeze;
$remote->safe_psql('postgres', (insert($remote, 'held', 'l'))[0]);
wait_for_query($node, 'postgres', q{SELECT count(*) > 0 FROM eventuate.record WHERE topic = 'held'});
run(q{SELECT eventuate_wait(timeout => '500ms')});
is($remote->safe_psql('postgres', q{SELECT published FROM message WHERE id = 'l'}), 0, 'a row is not marked before its record is acknowledged');
$node->stop('immediate');
$kafka->thaw;
$node->start;
is((payloads(wait_for_records($kafka, 'held', 1)))[0], 'l', 'nor lost in a crash');
$remote->poll_query_until('postgres', q{SELECT published = 1 FROM message WHERE id = 'l'}) or die;

# A server that is stopped stops its outbox and no other.
$remote->stop;
wait_for_query($node, 'postgres', state_of('remote'), 'waiting');
like(run(q{SELECT last_error FROM pg_stat_eventuate_outbox WHERE relname = 'remote'}), qr/could not connect|terminat|connection/,
	'the view says why an outbox waits');
$other->safe_psql('postgres', (insert($other, 'elsewhere', '1'))[0]);
run(q{SELECT eventuate_send('elsewhere', 'local', 'k')});
is(scalar(wait_for_records($kafka, 'elsewhere', 2)), 2, 'the others flow meanwhile');
$remote->start;
$remote->safe_psql('postgres', (insert($remote, 'polled', 'i'))[0]);
is((payloads(wait_for_records($kafka, 'polled', 10)))[-1], 'i', 'started again, it is published');

# More than a batch.
$other->safe_psql('postgres', q{INSERT INTO message SELECT i, 'many', '{"ID":"' || i || '","PARTITION_ID":"k"}', i FROM generate_series(10001, 13500) AS i});
is_deeply([ payloads(wait_for_records($kafka, 'many', 3500)) ], [ 10001 .. 13500 ], 'many rows go in batches, each once');

# A table without a mark: its rows are deleted.
run(q{CREATE UNLOGGED TABLE unmarked (id int8 PRIMARY KEY, topic text, value text);
	SELECT eventuate_attach('unmarked', 'raw', reader => 'polling', poll_interval => '50ms');
	INSERT INTO unmarked VALUES (1, 'unmarked', 'one')});
is((wait_for_records($kafka, 'unmarked', 1))[0]{value}, 'one', 'a table that cannot be decoded is polled');
wait_for_query($node, 'postgres', 'SELECT count(*) FROM unmarked', 0);

# Commands on databases do not wait for pollers; detached is detached.
run(q{SELECT eventuate_detach('unmarked'); INSERT INTO unmarked VALUES (2, 'unmarked', 'two')});
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate poller'}, 2);
is(run(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_stat_eventuate_outbox}), 'message other record remote', 'a table that is detached is not shown');
is(run('SELECT count(*) FROM unmarked'), 1, 'nor polled');
$node->safe_psql('template1', 'ALTER DATABASE postgres RENAME TO moved; ALTER DATABASE moved RENAME TO postgres');
$remote->safe_psql('postgres', (insert($remote, 'polled', 'j'))[0]);
is((payloads(wait_for_records($kafka, 'polled', 11)))[-1], 'j', 'a database that was renamed polls again');
$node->restart;
$remote->safe_psql('postgres', (insert($remote, 'polled', 'k'))[0]);
is((payloads(wait_for_records($kafka, 'polled', 12)))[-1], 'k', 'so does a server that was restarted');

# Rows that are marked go when they are old, if the call says so; no others do.
run(q{SELECT eventuate_attach('remote.remote', 'eventuate', reader => 'polling', poll_interval => '50ms', retention => '2 seconds')});
$remote->safe_psql('postgres', q{
	TRUNCATE message;
	INSERT INTO message SELECT n, 'old', '{"ID":"' || n || '","PARTITION_ID":"k"}', n, 1, NULL, extract(epoch FROM now() - interval '2 hours') * 1000
	FROM generate_series(10001, 12500) AS n;
	INSERT INTO message SELECT id, 'old', '{"ID":"' || id || '","PARTITION_ID":"k"}', id, published, NULL, extract(epoch FROM now() - age) * 1000
	FROM (VALUES ('waits', 0, interval '2 hours'), ('young', 1, '-1 hour'), ('ageless', 1, NULL)) AS r (id, published, age)});
is((payloads(wait_for_records($kafka, 'old', 1)))[0], 'waits', 'a row that waits is published, however old');
$remote->poll_query_until('postgres', q{SELECT string_agg(id, ' ' ORDER BY id) = 'ageless young' FROM message}) or die;
is(scalar(consume($kafka, 'old')), 1, 'and goes when it is marked, as all that are old; young ones stay, and those whose age nobody knows');

# Without the extension nobody polls.
wait_caught_up($node);
run('DROP EXTENSION eventuate');
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate poller'}, 0);

done_testing();
