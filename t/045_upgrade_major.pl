# pg_upgrade to another major version, as doc/operations.md says: once with
# everything published, once while Kafka is away.

use strict;
use warnings;

use lib 't';
use Eventuate;

plan skip_all => 'OLD_PG_CONFIG names no other PostgreSQL' unless $ENV{OLD_PG_CONFIG};

my $kafka = mock_kafka();
my @options = (
	kafka => $kafka,
	conf => "eventuate.refusal_grace = 0\neventuate.retention = -1\n",
	init => [ extra => ['--data-checksums'] ]);
my $old = new_node('old', @options, old => 1);
my $node = $old;
my $brings_slots = $old->pg_version >= 17;
my $slots = q{FROM pg_replication_slots WHERE plugin = 'eventuate'};

# Which was promoted once: pg_upgrade begins with the first timeline again.
$node->stop;
$node->set_standby_mode;
$node->start;
$node->promote;

# What is there to be kept.
wait_for_state($node, 'postgres', 'streaming');
run(q{
	CREATE ROLE app;
	GRANT INSERT ON eventuate.message, eventuate.record TO app;
	GRANT EXECUTE ON FUNCTION eventuate_pause() TO app;
	ALTER ROLE app SET eventuate.send_mode = 'wal';
	CREATE TABLE debezium (id uuid DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload text,
		creation_time timestamptz DEFAULT now());
	CREATE TABLE parted (id int, topic text DEFAULT 'topic', key text DEFAULT 'k', value text) PARTITION BY LIST (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
	CREATE TABLE former (LIKE parted INCLUDING DEFAULTS);
	CREATE TABLE late (LIKE parted INCLUDING DEFAULTS, creation_time timestamptz DEFAULT now() - interval '1 day');
	CREATE UNLOGGED TABLE polled (id int GENERATED ALWAYS AS IDENTITY, topic text DEFAULT 'topic', key text, value text, published int DEFAULT 0);
	SELECT eventuate_attach('debezium', 'debezium', retention => '1 day', topic => 'topic', placements => 'type:header'),
		eventuate_attach('parted', 'raw'), eventuate_attach('former', 'raw'),
		eventuate_attach('polled', 'raw', reader => 'polling', poll_interval => '100 ms');
	SELECT eventuate_produce('topic', 'refused', 'k', partition => 99)});
run(q{SET ROLE app; SET eventuate.send_mode = 'wal'; SELECT eventuate_send('topic', 'in WAL only', 'k')});
my @expected = ('in WAL only', send_everywhere('old'));
published('the old server publishes');

# Everything is published.  From 17 on the slot goes along.
is(run('SELECT eventuate_wait()'), 't', 'everything is published');
if ($brings_slots)
{
	wait_for_query($node, 'postgres', "SELECT slot_name $slots AND confirmed_flush_lsn < pg_current_wal_flush_lsn()", '');
}
else
{
	pause();
}
upgrade('quiet');
is(run("SELECT count(*) $slots"), $brings_slots ? 1 : 0, 'the slot is there if it can be');
run('SELECT eventuate_resume()') unless $brings_slots;
wait_for_state($node, 'postgres', 'streaming');
push @expected, send_everywhere('new'), 'new: in WAL only', 'mended';
run(q{SET ROLE app; SET eventuate.send_mode = 'wal'; SELECT eventuate_send('topic', 'new: in WAL only', 'k')});
run(q{SELECT eventuate_retry(id, topic => 'topic', value => 'mended') FROM eventuate.dead_letter});
published('nothing comes twice, and publishing goes on');
if ($brings_slots)
{
	unlike(slurp_file($node->logfile), qr/from the tables/, 'from the slot');
}
else
{
	like(slurp_file($node->logfile), qr/written to WAL only may be lost/, 'who has not waited for messages in WAL only is warned');
}
$node->stop;

# Messages wait: of the tables that are attached, that were, and that are since.
$node = $old;
$node->start;
pause();			# what is published is written down
run('SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
push @expected, send_everywhere('waiting'), qw(former late), 1 .. 20;
run(q{INSERT INTO former (value) VALUES ('former'); SELECT eventuate_detach('former'); INSERT INTO former (value) VALUES ('detached')});
run(q{INSERT INTO late (value) VALUES ('there before');
	SELECT eventuate_attach('late', 'raw', retention => '1 hour');
	INSERT INTO late (value) VALUES ('late')});
run("SELECT eventuate_send('topic', '$_', 'k')") foreach 1 .. 20;
if ($brings_slots)
{
	my $other = new_server('refused');
	$node->stop;
	my ($done, $out) = pg_upgrade($node, $other, '--check');
	ok(!$done, 'pg_upgrade takes no slot that has not passed everything');
	like($out, qr/The slot "eventuate_\d+" has not consumed the WAL yet/, 'and says so');
	$node->start;
	pause();
	run("SELECT pg_drop_replication_slot(slot_name) $slots AND database = current_database()");
}
upgrade('waiting');
run('SELECT eventuate_resume()') if $brings_slots;
wait_for_state($node, 'postgres', 'streaming');
push @expected, send_everywhere('last');
published('what was published does not come again, what was not is not forgotten');
is_deeply([ grep { /^\d+$/ } payloads() ], [ 1 .. 20 ], 'in the order of sending');
wait_until('old rows to be deleted', sub {
	run('SELECT pg_reload_conf()');
	return run(q{SELECT count(*) FROM late WHERE value = 'late'}) == 0; });
is(run('SELECT value FROM late'), 'there before', 'what was there before a table was attached stays');

done_testing();

sub run { return $node->safe_psql('postgres', $_[0]); }

sub pause
{
	run('SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	return;
}

# A message in every outbox; returns what is to be published.
sub send_everywhere
{
	my ($name) = @_;
	run(qq{SELECT eventuate_send('topic', '$name: sent', 'k')});
	run(qq{SELECT eventuate_produce('topic', '$name: produced', 'k')});
	run(qq{INSERT INTO debezium (aggregatetype, aggregateid, type, payload) VALUES ('a', 'k', 't', '$name: debezium')});
	run(qq{BEGIN; SAVEPOINT s; INSERT INTO parted (id, value) VALUES (1, '$name: parted'); COMMIT});
	run(qq{INSERT INTO polled (value) VALUES ('$name: polled')});
	return map { "$name: $_" } qw(sent produced debezium parted polled);
}

sub payloads
{
	return payloads_of(consume($kafka, 'topic'));
}

sub published
{
	my ($what) = @_;
	wait_for_records($kafka, 'topic', scalar(@expected));
	wait_caught_up($node);
	is_deeply([ sort(payloads()) ], [ sort @expected ], $what);
	return;
}

# What pg_upgrade has to bring.
sub kept
{
	return join("\n", map { run($_) }
		  q{SELECT objtype, objname, label FROM pg_seclabels WHERE provider = 'eventuate' ORDER BY objname},
		  q{SELECT * FROM eventuate.dead_letter ORDER BY id},
		  q{SELECT * FROM eventuate.progress},
		  q{SELECT id, headers, payload, txid FROM eventuate.message ORDER BY id},
		  q{SELECT r.*, r.xmin FROM eventuate.record AS r ORDER BY id},
		  q{SELECT *, xmin FROM debezium ORDER BY payload},
		  q{SELECT * FROM polled ORDER BY value},
		  q{SELECT oid, array(SELECT privilege_type FROM aclexplode(relacl) WHERE grantee = 'app'::regrole)
			FROM pg_class WHERE relname IN ('message', 'record', 'progress') ORDER BY relname},
		  q{SELECT proname, proacl FROM pg_proc WHERE proname LIKE 'eventuate%' ORDER BY proname},
		  q{SELECT rolname, rolconfig FROM pg_roles WHERE rolname = 'app'});
}

# As operations.md wants it to be, and no more.
sub new_server
{
	my ($name) = @_;
	my $new = new_node($name, @options, start => 0);
	$new->adjust_conf('postgresql.conf', 'output_plugin_libraries', undef);
	return $new;
}

# Stops the server and starts another with its data.
sub upgrade
{
	my ($name) = @_;
	my $new = new_server($name);
	my $kept = kept();

	$node->stop;
	$kafka->start;
	my $there = payloads();
	my ($done, $out) = pg_upgrade($node, $new);
	ok($done, "$name: pg_upgrade") or die $out;
	is(scalar(payloads()), $there, "$name: nothing is published by pg_upgrade's servers");
	$node = $new;
	$node->append_conf('postgresql.conf', "eventuate.databases = ''");
	$node->start;
	is(kept(), $kept, "$name: everything is there");
	$node->append_conf('postgresql.conf', "eventuate.databases = '*'");
	$node->reload;
	return;
}
