# Tables are attached, detached and attached again while clients write to them:
# what is on Kafka is what was written in between, also where the slot is lost
# before any of it was published.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "autovacuum = off\n");
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

sub run { return $node->safe_psql('postgres', $_[0]); }

# A kind of table; the last column says on which topic the row belongs.
my %tables = (
	'with txid' => 'CREATE TABLE outbox (key text, value text, belongs text, txid xid8 NOT NULL DEFAULT pg_current_xact_id())',
	'without txid' => 'CREATE TABLE outbox (key text, value text, belongs text)',
	'partitioned' => q{CREATE TABLE outbox (key text, value text, belongs text) PARTITION BY HASH (key);
		CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES WITH (MODULUS 2, REMAINDER 0);
		CREATE TABLE outbox_1 (belongs text, value text, key text, txid int);
		ALTER TABLE outbox_1 DROP COLUMN txid;
		ALTER TABLE outbox ATTACH PARTITION outbox_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1)});

# For rows that are written in this transaction's wake.
sub attach
{
	my ($topic, $options) = @_;
	return "SELECT eventuate_attach('outbox', 'raw', topic => '$topic'" . ($options // '') . "); UPDATE here SET belongs = '$topic';";
}

sub detach { return q{SELECT eventuate_detach('outbox'); UPDATE here SET belongs = '-';}; }

foreach my $kind (sort keys %tables)
{
	foreach my $test (\&under_load, \&slot_lost)
	{
		run("DROP TABLE IF EXISTS outbox, here; $tables{$kind}; CREATE TABLE here AS SELECT '-' AS belongs");
		$test->($kind);
	}
}
crash();
done_testing();

# ---------------------------------------------------------------------
# Under load.  A client reads what is written in "here" once it has the lock on
# the outbox, so each row knows between which of our transactions it was.
# ---------------------------------------------------------------------
sub under_load
{
	my ($kind) = @_;
	my ($one, $two, $all) = map { "$_-$kind" =~ tr/ /-/r } qw(one two all);
	my $insert = q{INSERT INTO outbox (key, value, belongs) SELECT 'client-' || :client_id, nextval('load_numbers'), belongs FROM here;};
	my $load = start_load($node, '', script => "BEGIN; $insert SAVEPOINT s; $insert RELEASE s; COMMIT;\n");
	my $wait = sub {
		my ($topic) = @_;
		wait_for_query($node, 'postgres', "SELECT count(*) > 50 FROM outbox WHERE belongs = '$topic'");
	};

	$wait->('-');
	run('BEGIN;' . attach($one) . 'COMMIT');
	$wait->($one);
	run('BEGIN;' . attach($two) . 'COMMIT');
	$wait->($two);
	run('BEGIN;' . detach() . 'COMMIT');
	my $sent = run(q{SELECT count(*) FROM outbox WHERE belongs = '-'});
	wait_for_query($node, 'postgres', "SELECT count(*) > $sent + 50 FROM outbox WHERE belongs = '-'");
	run('BEGIN;' . attach($one) . 'COMMIT');
	$sent = run("SELECT count(*) FROM outbox WHERE belongs = '$one'");
	wait_for_query($node, 'postgres', "SELECT count(*) > $sent + 50 FROM outbox WHERE belongs = '$one'");
	run("BEGIN; ${\attach($all, ', publish_existing => true')} UPDATE outbox SET belongs = belongs || ' $all'; COMMIT");
	$wait->($all);
	run('BEGIN;' . detach() . 'COMMIT');
	stop_load($load);
	wait_caught_up($node);

	foreach my $topic ($one, $two, $all)
	{
		my @records = consume($kafka, $topic);
		my %last;
		my $disordered = grep { my $before = $last{ $_->{key} } // 0; ($last{ $_->{key} } = $_->{value}) <= $before } @records;

		is_deeply(
			[ sort { $a <=> $b } map { $_->{value} } @records ],
			[ split /\n/, run("SELECT value FROM outbox WHERE '$topic' = ANY (string_to_array(belongs, ' ')) ORDER BY value::int") ],
			"$kind, under load: $topic has what belongs there, once");
		is($disordered, 0, "$kind, under load: $topic is in order");
	}
}

# ---------------------------------------------------------------------
# The slot is lost, and nothing is known to be published, not even who was
# running when.
# ---------------------------------------------------------------------
sub slot_lost
{
	my ($kind) = @_;
	my $topic = "lost-$kind" =~ tr/ /-/r;
	my $plain = sub { "INSERT INTO outbox (key, value) VALUES ('k', '$_[0]');" };
	my $insert = sub { "SAVEPOINT s; ${\ $plain->($_[0])} RELEASE s;" };
	my $write = sub { run('BEGIN;' . $insert->($_[0]) . 'COMMIT'); };

	# Old transactions: one that does nothing here, those that write later, with
	# subtransactions that are old as well.
	my %old = map { $_ => $node->background_psql('postgres') } qw(idle within after);
	$_->query_safe('BEGIN; SAVEPOINT t; SELECT pg_current_xact_id(); CREATE TEMP TABLE t (i int); SAVEPOINT u; INSERT INTO t VALUES (1); RELEASE u')
	  foreach values %old;
	run('SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');

	$write->('before');
	run("BEGIN; ${\attach($topic)} ${\$insert->('attaching')} COMMIT");
	$write->('first');
	$old{within}->query_safe($plain->('old, within') . 'COMMIT');
	run("BEGIN; ${\$insert->('detaching')} ${\detach()} COMMIT");
	$old{after}->query_safe($plain->('old, after') . 'COMMIT');
	$write->('between');
	run("BEGIN; ${\attach($topic)} COMMIT; BEGIN; ${\attach($topic)} COMMIT");
	$write->('second');
	run("BEGIN; ${\detach()} COMMIT");
	$write->('after');
	run("BEGIN; ${\attach($topic)} COMMIT");

	run('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; SELECT eventuate_resume()');
	$old{idle}->query_safe('COMMIT');
	$_->quit foreach values %old;
	wait_for_state($node, 'postgres', 'streaming');
	$write->('last');
	wait_caught_up($node);
	is_deeply([ sort map { $_->{value} } consume($kafka, $topic) ],
		[ sort 'attaching', 'first', 'old, within', 'detaching', 'second', 'last' ],
		"$kind, without a slot: what was written while it was attached");

	# Periods of which all is published are forgotten.
	wait_until('the progress', sub {
		$write->('more');
		return run(qq{BEGIN; ${\detach()} ${\attach($topic)} COMMIT;
			SELECT jsonb_array_length(label::jsonb->'earlier') = 1 FROM pg_seclabel WHERE objoid = 'outbox'::regclass}) =~ /^t$/m;
	});
	run(detach());
}

# ---------------------------------------------------------------------
# The server dies in the middle of a large publish_existing.
# ---------------------------------------------------------------------
sub crash
{
	run(q{DROP TABLE outbox; CREATE TABLE outbox (id int, key text, value text);
		INSERT INTO outbox SELECT n, 'k', n FROM generate_series(1, 30000) AS n});
	my $attach = q{SELECT eventuate_attach('outbox', 'raw', topic => 'crash', publish_existing => true)};
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$kafka->create_topic('crash', 1);
	my $size = run(q{SELECT pg_relation_size('eventuate.record')});
	$session->query_until(qr/^/, "BEGIN;\n$attach;\n");
	wait_for_query($node, 'postgres', "SELECT pg_relation_size('eventuate.record') > $size + 500000");
	$node->stop('immediate');
	eval { $session->quit };
	$node->start;
	is(run(q{SELECT count(*) FROM pg_seclabel WHERE objoid = 'outbox'::regclass}), 0, 'crash: nothing is attached');
	wait_for_state($node, 'postgres', 'streaming');
	wait_caught_up($node);
	is(scalar(my @none = consume($kafka, 'crash')), 0, 'crash: nothing is published');
	run($attach);
	run(q{INSERT INTO outbox VALUES (0, 'k', 'new')});
	wait_caught_up($node);
	is_deeply([ map { $_->{value} } consume($kafka, 'crash') ], [ 1 .. 30000, 'new' ],
		'everything, once and in order, when it is done again');
}
