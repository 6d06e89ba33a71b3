# A remote server that does not answer, nor say so, stops nobody else.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $remote = PostgreSQL::Test::Cluster->new('remote');
$remote->init;
$remote->start;
my $node = new_node('main', kafka => $kafka);

sub run { return $node->safe_psql('postgres', $_[0]); }

$remote->safe_psql('postgres', 'CREATE TABLE outbox (id int PRIMARY KEY, topic text, value text, published int DEFAULT 0)');
run(sprintf(q{CREATE EXTENSION postgres_fdw;
	CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
	CREATE USER MAPPING FOR current_user SERVER remote;
	IMPORT FOREIGN SCHEMA public LIMIT TO (outbox) FROM SERVER remote INTO public;
	CREATE UNLOGGED TABLE nearby (id int PRIMARY KEY, topic text, value text, published int DEFAULT 0);
	SELECT eventuate_attach('outbox', 'raw', columns => '{"published": "published"}', reader => 'polling', poll_interval => '50ms');
	SELECT eventuate_attach('nearby', 'raw', columns => '{"published": "published"}', reader => 'polling', poll_interval => '50ms')},
	$remote->host, $remote->port));
$remote->safe_psql('postgres', q{INSERT INTO outbox VALUES (1, 'remote', '1')});
wait_for_records($kafka, 'remote', 1);

# The session that the poller has on the remote server is frozen.
my $pid = $remote->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'postgres_fdw'});
$remote->safe_psql('postgres', q{INSERT INTO outbox VALUES (2, 'remote', '2')});
kill('STOP', $pid);
run(q{INSERT INTO nearby VALUES (1, 'nearby', '1'); SELECT eventuate_produce('nearby', '2')});
is(scalar(wait_for_records($kafka, 'nearby', 2)), 2, 'with a remote server frozen the others flow');
wait_for_query($node, 'postgres', 'SELECT count(*) FROM nearby WHERE published = 1', 1);
is(run(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate poller'}), 2, 'each outbox has a process');

# Thawed, it goes on.
kill('CONT', $pid);
ok(wait_for_records($kafka, 'remote', 2) >= 2, 'thawed, it is published');

# A command that needs the database does not wait for a remote server.
$pid = $remote->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'postgres_fdw'});
my $locker = $remote->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE outbox');
wait_for_query($remote, 'postgres', q{SELECT count(*) FROM pg_locks WHERE NOT granted}, 1);
$node->safe_psql('template1', 'ALTER DATABASE postgres RENAME TO moved; ALTER DATABASE moved RENAME TO postgres');
pass('a database is renamed while its poller waits for a remote server');
$locker->query_safe('COMMIT');
$locker->quit;
$remote->safe_psql('postgres', q{INSERT INTO outbox VALUES (3, 'remote', '3')});
wait_until('the third record', sub { grep { $_->{value} eq '3' } consume($kafka, 'remote') });
pass('and polls again');

done_testing();
