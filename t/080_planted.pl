# A schema "eventuate" whose owner is not to be trusted: it is adopted, and
# whatever is planted there gains its owner nothing.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, extension => 0);

sub run { return $node->safe_psql('postgres', $_[0]); }

sub as_eve { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'eve' ]); }

sub refused
{
	my ($sql, $error, $what) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql);
	like($err, $error, $what);
}

# Whatever of eve's has run, it has run as eve.
sub check_gain
{
	my ($what) = @_;
	is(run('SELECT rolsuper FROM pg_roles WHERE rolname = $$eve$$'), 'f', "eve is no superuser $what");
	is(run('SELECT count(*) FROM gain.ran WHERE who <> $$eve$$'), 0, "nothing of hers has run as somebody else $what");
}

# gain() notes who runs it and tries to make the most of it.
run(q{CREATE ROLE eve LOGIN; DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO eve', current_database()); END $$});
as_eve(q{
	CREATE SCHEMA gain;
	CREATE TABLE gain.ran (what text, who text);
	GRANT ALL ON SCHEMA gain TO PUBLIC; GRANT ALL ON gain.ran TO PUBLIC;
	CREATE FUNCTION gain.gain(what text) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO gain.ran VALUES (what, current_user);
		BEGIN ALTER ROLE eve SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END;
		BEGIN RESET ROLE; ALTER ROLE eve SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END;
		RETURN 1;
	END $$;
	CREATE FUNCTION gain.on_row() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN PERFORM gain.gain(TG_TABLE_NAME || ' ' || TG_NAME); RETURN NEW; END $$;
	CREATE FUNCTION gain.pure(what text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN RETURN gain.gain(what); END $$});

# What is in the place of ours is in the way of CREATE EXTENSION.
foreach my $object ('TABLE eventuate.record (id int)', 'VIEW eventuate.progress AS SELECT 1',
	'TABLE eventuate.dead_letter (id int)', 'FUNCTION eventuate.next_id() RETURNS text LANGUAGE sql AS $$SELECT gain.gain(\'id\')::text$$',
	'FUNCTION eventuate.next_id(int DEFAULT gain.gain($$nearly$$)) RETURNS text LANGUAGE sql AS $$SELECT \'x\'$$')
{
	as_eve("CREATE SCHEMA eventuate; CREATE $object");
	refused('CREATE EXTENSION eventuate', qr/already exists|is not unique/, "not over $object");
	as_eve('DROP SCHEMA eventuate CASCADE');
}

# A table message as Tram has it, with code of every kind.
as_eve(q{
	CREATE SCHEMA eventuate;
	CREATE TABLE eventuate.message (
		id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL,
		published smallint DEFAULT 0, message_partition smallint, creation_time bigint,
		other int DEFAULT gain.gain('default'), CHECK (gain.gain('check') = 1));
	CREATE INDEX ON eventuate.message ((gain.pure('index')));
	CREATE TRIGGER row_trigger BEFORE INSERT ON eventuate.message FOR EACH ROW EXECUTE FUNCTION gain.on_row()});
my ($status, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION eventuate');
like($err, qr/WARNING:  "eventuate.message", which belongs to role "eve", is an outbox now/, 'the schema is adopted, aloud');
check_gain('by CREATE EXTENSION');
wait_for_state($node, 'postgres', 'streaming');

run(q{SELECT eventuate_send('adopted', 'by a superuser', 'k')});
is(run(q{SELECT string_agg(DISTINCT what || ':' || who, ' ' ORDER BY what || ':' || who) FROM gain.ran}),
	'check:eve default:eve index:eve message row_trigger:eve', 'her code runs as eve');
as_eve(q{ALTER TABLE eventuate.message DROP COLUMN other; DROP TRIGGER row_trigger ON eventuate.message});
run(q{SELECT eventuate_send('adopted', 'the short way', 'k')});
wait_caught_up($node);
is_deeply([ map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'adopted') ],
	[ 'by a superuser', 'the short way' ], 'messages of an adopted table are published');
check_gain('by a superuser who sends');

as_eve(q{CREATE CONSTRAINT TRIGGER later AFTER INSERT ON eventuate.message DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION gain.on_row()});
refused(q{SELECT eventuate_send('adopted', 'deferred', 'k')}, qr/cannot fire deferred trigger/, 'nor may it wait for the end');
check_gain('at the end of the transaction');
as_eve('DROP TRIGGER later ON eventuate.message');

# Another schema takes the name; the tables in it look like ours.
run(q{INSERT INTO eventuate.dead_letter (topic, reason, error, attempts) VALUES ('adopted', 'a test', 'TEST', 1);
	GRANT SELECT ON eventuate.dead_letter, eventuate.record TO eve});
as_eve(q{
	ALTER SCHEMA eventuate RENAME TO moved;
	CREATE SCHEMA eventuate;
	CREATE TABLE eventuate.progress (snapshot pg_snapshot, timeline int8, database oid, paused bool);
	INSERT INTO eventuate.progress VALUES (pg_current_snapshot(), 1, 1, false);
	CREATE TABLE eventuate.dead_letter (LIKE moved.dead_letter INCLUDING ALL);
	INSERT INTO eventuate.dead_letter (topic, reason, error, attempts) VALUES ('adopted', 'planted', 'TEST', 1);
	CREATE TABLE eventuate.record (LIKE moved.record INCLUDING DEFAULTS);
	CREATE INDEX ON eventuate.progress ((gain.pure('progress index')));
	CREATE INDEX ON eventuate.dead_letter ((gain.pure('dead_letter index')));
	DO $$
	DECLARE t text;
	BEGIN
		FOREACH t IN ARRAY ARRAY['progress', 'dead_letter', 'record'] LOOP
			EXECUTE format('CREATE TRIGGER planted BEFORE INSERT OR UPDATE OR DELETE ON eventuate.%I FOR EACH ROW EXECUTE FUNCTION gain.on_row()', t);
		END LOOP;
	END $$});
my $not_ours = qr/is not the table of extension "eventuate"/;
refused('SELECT eventuate_pause()', $not_ours, 'pause');
refused('SELECT eventuate_resume()', $not_ours, 'resume');
refused('SELECT eventuate_retry(1)', $not_ours, 'retry');
refused('SELECT eventuate_discard(1)', $not_ours, 'discard');
$node->psql('postgres', q{SELECT eventuate_produce('adopted', 'v')});
check_gain('by tables in the place of ours');

# Our own processes meet them as well: a row that becomes a dead letter.
my $log = log_position($node);
as_eve(q{INSERT INTO moved.message (id, destination, headers, payload) VALUES ('bad', 'adopted', 'no JSON', '')});
wait_for_log($node, qr/(is not the table of extension "eventuate"|extension eventuate is not in database)/, $log);
check_gain('by our workers');

# All is well again when the schema is back.
as_eve('DROP SCHEMA eventuate CASCADE; ALTER SCHEMA moved RENAME TO eventuate');
run(q{SELECT eventuate_send('adopted', 'after', 'k')});
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is(run(q{SELECT count(*) FROM eventuate.dead_letter WHERE message_id = 'bad'}), 1, 'the dead letter has found its table');
check_gain('at all');

# Our own tables must not be given away.
run('ALTER TABLE eventuate.progress OWNER TO eve');
refused('SELECT eventuate_pause()', qr/must belong to a superuser/, 'nothing is run on a table of somebody else');

# While the extension is created the schema keeps its name, also before there
# is anything of ours in it: what is there could be taken for ours.
run('ALTER TABLE eventuate.progress OWNER TO CURRENT_USER; DROP EXTENSION eventuate CASCADE');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE pg_proc IN SHARE MODE');
my $admin = $node->background_psql('postgres');
$admin->query_until(qr/begun/, "\\echo begun\nSET client_min_messages = error; CREATE EXTENSION eventuate;\n");
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_locks WHERE relation = 'pg_proc'::regclass AND NOT granted}, 1);
refused(q{SET ROLE eve; SET lock_timeout = '100ms'; ALTER SCHEMA eventuate RENAME TO moved}, qr/lock timeout/,
	'the schema cannot be renamed under CREATE EXTENSION');
$holder->query_safe('ROLLBACK');
$_->quit foreach $holder, $admin;
is(run(q{SELECT count(*) FROM pg_extension WHERE extname = 'eventuate'}), 1, 'which goes on');

done_testing();
