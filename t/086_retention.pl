# Published rows are deleted after a while, and nothing else is.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "eventuate.retention = -1\n");
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]); }

sub set_retention
{
	my ($retention) = @_;
	run("ALTER SYSTEM SET eventuate.retention = '$retention'");
	run('SELECT pg_reload_conf()');
	return;
}

# Until a query answers so, with somebody tidying up again and again: a reload
# sends them out.
sub wait_while_tidying
{
	my ($query, $expected) = @_;
	wait_until($query, sub {
		run('SELECT pg_reload_conf()');
		$Eventuate::seen = run($query);
		return $Eventuate::seen eq $expected; });
	return;
}

run(q{
	CREATE TABLE attached (id int PRIMARY KEY, topic text, value text, creation_time timestamptz DEFAULT now());
	CREATE TABLE kept (LIKE attached INCLUDING ALL);
	CREATE TABLE ages (LIKE attached INCLUDING ALL);
	CREATE TABLE parted (LIKE attached) PARTITION BY LIST (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
	INSERT INTO attached VALUES (0, 'a', 'there before', now() - interval '1 day');
	SELECT eventuate_attach('ages', 'raw', retention => '4000000 years');
	SELECT eventuate_attach('attached', 'raw', retention => '1 hour');
	SELECT eventuate_attach('kept', 'raw');
	SELECT eventuate_attach('parted', 'raw', retention => '1 hour');
	CREATE TABLE seen (what text);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN OLD; END $$;
	CREATE ROLE owner;
	GRANT INSERT ON seen TO owner;
	CREATE TRIGGER t BEFORE DELETE ON attached FOR EACH ROW EXECUTE FUNCTION note();
	ALTER TABLE attached OWNER TO owner});

# Published two hours ago.
sub send_all
{
	my ($id, $age) = @_;
	run(qq{SELECT eventuate_send('m', '$id', 'k');
		SELECT eventuate_produce('r', '$id', 'k');
		BEGIN; SAVEPOINT s; INSERT INTO attached VALUES ($id, 'a', '$id', now() - interval '$age'); COMMIT;
		INSERT INTO kept VALUES ($id, 'a', '$id', now() - interval '$age')});
	run(qq{UPDATE eventuate.message SET creation_time = creation_time - extract(epoch from interval '$age') * 1000 WHERE payload = '$id';
		UPDATE eventuate.record SET creation_time = creation_time - extract(epoch from interval '$age') * 1000 WHERE value = '$id'});
	return;
}
send_all(1, '2 hours');
send_all(2, '1 minute');
run(q{INSERT INTO parted VALUES (1, 'a', 'p', now() - interval '2 hours'); INSERT INTO ages VALUES (1, 'a', 'p', now() - interval '2 hours'); INSERT INTO eventuate.record (topic, value) VALUES ('r', 'ageless')});
wait_caught_up($node);
wait_for_query($node, 'postgres', q{SELECT bool_and(pg_visible_in_snapshot(m.txid, p.snapshot)) FROM eventuate.message AS m, eventuate.progress AS p});

# With -1 the extension's own tables keep their rows; attached ones go by their label.
wait_while_tidying(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM attached}, '0 2');
wait_while_tidying(q{SELECT count(*) FROM parted}, 0);
is(run(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM kept}), '1 2', 'of an attached table only rows with a retention go, and none that was there before');
is(run('SELECT count(*) FROM ages'), 1, 'nor do those with a retention that is longer than time');
is(run('SELECT what FROM seen'), 'owner', 'its triggers run as its owner');
is(run(q{SELECT count(*) FROM eventuate.message WHERE payload IN ('1', '2')}), 2, 'with -1 rows stay');

set_retention('1h');
wait_while_tidying(q{SELECT string_agg(payload, ' ') FROM eventuate.message}, '2');
wait_while_tidying(q{SELECT string_agg(convert_from(value, 'UTF8'), ' ' ORDER BY value) FROM eventuate.record}, '2 ageless');
pass('old rows go, young ones stay, and those whose age nobody knows');

# What is not published stays, however old.
$kafka->stop;
send_all(3, '2 hours');
set_retention('1s');
wait_while_tidying(q{SELECT string_agg(payload, ' ') FROM eventuate.message}, '3');
wait_while_tidying(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM attached}, '0 2 3');

is(run(q{SELECT count(*) FROM eventuate.message WHERE payload = '3'}), 1, 'with the broker down what is not published stays');
$kafka->start;
wait_caught_up($node);
wait_while_tidying(q{SELECT count(*) FROM eventuate.message}, 0);
pass('published, it goes');

# Many rows, in batches; somebody who locks the table is not in the way for ever.
run(q{INSERT INTO eventuate.record (topic, value, creation_time) SELECT 'many', 'x', 1000 FROM generate_series(1, 25000)});
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE eventuate.record IN SHARE MODE');
wait_caught_up($node);
wait_for_log($node, qr/canceling statement due to lock timeout/);
$locker->query_safe('COMMIT');
$locker->quit;
wait_while_tidying(q{SELECT count(*) FROM eventuate.record WHERE topic = 'many'}, 0);
pass('a table that somebody had locked is tidied later');

# Nor is it in the way of a command that has a table and then wants a partition.
$locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE ONLY parted');
wait_while_tidying(q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND backend_type = 'eventuate housekeeper'}, 1);
$locker->query_safe('LOCK TABLE parted_1; COMMIT');
$locker->quit;
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'partitions are locked behind their table');

done_testing();
