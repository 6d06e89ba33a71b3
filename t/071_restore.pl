# Dump and restore, as doc/operations.md describes it: what was published does
# not come again, what was not is not forgotten; in a cluster whose
# transactions are counted from the beginning.

use strict;
use warnings;

use lib 't';
use Eventuate;
use PostgreSQL::Test::Utils ();

my $kafka = mock_kafka();
my $new_kafka = mock_kafka();
my $old = new_node('old', kafka => $kafka);
my $new = new_node('new', kafka => $new_kafka, extension => 0);
my $directory = PostgreSQL::Test::Utils::tempdir();

sub burn
{
	my ($node, $count) = @_;
	$node->safe_psql('postgres', "DO 'BEGIN FOR i IN 1 .. $count LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END'");
}

# Without the extension, as it was before eventuate came.
$old->safe_psql('postgres', 'CREATE DATABASE tram');
my $tram = q{
	CREATE SCHEMA eventuate;
	CREATE TABLE eventuate.message (id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL,
		payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint);
	CREATE INDEX message_published_idx ON eventuate.message (published, id);
	CREATE EXTENSION eventuate};
$old->safe_psql('tram', $tram);
my (%newest, %published);
foreach my $database ('postgres', 'tram')
{
	wait_for_state($old, $database, 'streaming');

	# Of transactions that the new cluster has had when these rows come, and
	# of some that it has not.
	$old->safe_psql($database, qq{SELECT eventuate_send('$database', 'published $_', 'k'); SELECT eventuate_produce('$database', 'record $_', 'k')})
	  foreach 1 .. 20;
	burn($old, 1500);
	$newest{$database} = $old->safe_psql($database, qq{
		INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('bad', '$database', '[]', 'bad')
		RETURNING pg_current_xact_id(), eventuate_send('$database', 'published last', 'k')}) =~ s/\|.*//r;
}
foreach my $database ('postgres', 'tram')
{
	# What is published is noted every ten seconds.
	wait_for_query($old, $database, qq{SELECT pg_visible_in_snapshot('$newest{$database}', snapshot) FROM eventuate.progress});
	is(scalar(consume($kafka, $database)), 41, "$database is published");
	$old->safe_psql($database, q{SELECT eventuate_pause()});
	wait_for_state($old, $database, 'paused');
	$published{$database} = $old->safe_psql($database, $database eq 'tram'
		? q{SELECT published_through FROM pg_stat_eventuate WHERE datname = current_database()}
		: 'SELECT snapshot FROM eventuate.progress');
	$old->safe_psql($database, qq{SELECT eventuate_send('$database', 'unpublished message', 'k'), eventuate_produce('$database', 'unpublished record', 'k')});
}

# The dump.  What is published was noted besides.
$old->command_ok([ 'pg_dumpall', '-f', "$directory/all.sql", '--exclude-database=tram', '-h', $old->host, '-p', $old->port ], 'pg_dumpall');
$old->command_ok([ 'pg_dump', '-Fc', '-f', "$directory/tram", $old->connstr('tram') ], 'pg_dump');

# Nobody publishes while it is restored.
$new->safe_psql('postgres', q{ALTER SYSTEM SET eventuate.databases = ''});
$new->reload;
my ($status, $out, $err) = $new->psql('postgres', "\\i $directory/all.sql", on_error_stop => 0);
is(join("\n", grep { /ERROR/ && !/role "\w+" already exists/ } split /\n/, $err), '', 'all is restored');

# A table that is not the extension's must be there before it.
$new->safe_psql('postgres', 'CREATE DATABASE tram');
PostgreSQL::Test::Utils::system_or_bail('sh', '-c',
	"cd $directory && pg_restore -l tram >list && { sed '/ EXTENSION .*eventuate/d; / TABLE eventuate message /q' list; grep ' EXTENSION .*eventuate' list; "
	. "sed '/ EXTENSION .*eventuate/d; 1,/ TABLE eventuate message /d' list; } >ordered");
$new->command_ok([ 'pg_restore', '-e', '-L', "$directory/ordered", '-d', $new->connstr('tram'), "$directory/tram" ], 'pg_restore');
is($new->safe_psql('tram', q{SELECT count(*) FROM pg_depend WHERE objid = 'eventuate.message'::regclass AND deptype = 'e'}), 0, 'the table is adopted');

foreach my $database ('postgres', 'tram')
{
	# What is there is old, ...
	$new->safe_psql($database, q{SELECT eventuate_resume(skip_existing => true)});

	# ... but for what was not published when the dump was made.
	my $is_new = $database eq 'tram'
	  ? "creation_time > extract(epoch FROM timestamptz '$published{tram}') * 1000"
	  : "NOT pg_visible_in_snapshot(txid, '$published{postgres}')";
	$new->safe_psql($database, "
		WITH old AS (DELETE FROM eventuate.record WHERE $is_new RETURNING *)
		INSERT INTO eventuate.record (id, topic, key, value, headers, partition, record_time, creation_time)
		SELECT id, topic, key, value, headers, partition, record_time, creation_time FROM old ORDER BY id");
	$new->safe_psql($database, "
		WITH old AS (DELETE FROM eventuate.message WHERE $is_new RETURNING *)
		INSERT INTO eventuate.message (id, destination, headers, payload, creation_time)
		SELECT id, destination, headers, payload, creation_time FROM old ORDER BY id");
}
$new->safe_psql('postgres', 'ALTER SYSTEM RESET eventuate.databases');
$new->reload;

foreach my $database ('postgres', 'tram')
{
	wait_for_state($new, $database, 'streaming');
	$new->safe_psql($database, qq{SELECT eventuate_send('$database', 'new', 'k')});
	wait_caught_up($new, $database);
	is_deeply([ sort(payloads_of(consume($new_kafka, $database))) ], [ 'new', 'unpublished message', 'unpublished record' ],
		"$database: the new server publishes what the old one had not");
	is($new->safe_psql($database, q{SELECT count(*), min(message_id) FROM eventuate.dead_letter}), '1|bad', "$database: dead letters are restored");
}

# Also when the new server's own transactions have come to the numbers of the
# old one's, and the slot is lost.
burn($new, 6000);
foreach my $database ('postgres', 'tram')
{
	$new->safe_psql($database, q{SELECT eventuate_pause()});
	wait_for_state($new, $database, 'paused');
	$new->safe_psql($database, q{VACUUM FREEZE eventuate.message, eventuate.record;
		SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database();
		SELECT eventuate_resume()});
	wait_for_state($new, $database, 'streaming');
	wait_caught_up($new, $database);
	is(scalar(grep { / published|^published|^record|bad/ } payloads_of(consume($new_kafka, $database))), 0,
		"$database: what the old server has published never comes again");
}

done_testing();
