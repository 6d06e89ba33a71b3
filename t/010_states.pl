# What a database's publisher says of itself, and that it comes back: Kafka
# not configured, away, unknown; no worker, no slot; killed.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $brokers = 'bootstrap.servers=' . $kafka->brokers;
my $slots = q{SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'eventuate%'};
my $publishers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate publisher'};

# Nobody has said where Kafka is.
my $node = new_node('main', restart_after_crash => 1);
wait_for_state($node, 'postgres', 'not configured');
is(stat_of($node, 'last_error'), '', 'not to be configured is no error');
# A name that nobody knows.
set($node, 'eventuate.kafka', 'bootstrap.servers=no-such-host.invalid:9092');
wait_for_state($node, 'postgres', 'waiting');
like(stat_of($node, 'last_error'), qr/resolve '?no-such-host\.invalid/,
	'last_error names the host that is not known');
is($node->safe_psql('postgres', $slots), 0, 'no slot is made before Kafka has ever answered');
set($node, 'eventuate.kafka', '');
wait_for_state($node, 'postgres', 'not configured');
send_message($node, 'early', 'before eventuate.kafka is set');

# Kafka is not there yet.
$kafka->stop;
set($node, 'eventuate.kafka', $brokers);
wait_for_query($node, 'postgres',
	q{SELECT state = 'waiting' AND last_error LIKE '%Connection refused%' FROM pg_stat_eventuate});
send_message($node, 'early', 'before Kafka answers');
is($node->safe_psql('postgres', $slots), 0, 'nor while messages wait for it');
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is_deeply(
	[ payloads_of(consume($kafka, 'early')) ],
	[ 'before eventuate.kafka is set', 'before Kafka answers' ],
	'what was sent before arrives, once and in order');

# Away and back while nothing is sent.
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
like(stat_of($node, 'last_error'), qr/127\.0\.0\.1/, 'last_error names the broker');
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
send_message($node, 'early', 'after Kafka came back');
wait_caught_up($node);
is(scalar(consume($kafka, 'early')), 3, 'a publisher that found Kafka again publishes');

# The log has a line for a change, not for a message or an attempt.
my $pid = publisher_pid($node);
my $position = log_position($node);
$kafka->stop;
wait_for_state($node, 'postgres', 'waiting');
my $since = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
$node->safe_psql('postgres', q{
	DO $$
	BEGIN
		FOR i IN 1 .. 500 LOOP
			PERFORM eventuate_send('load', i::text, 'k');
			COMMIT;
		END LOOP;
	END
	$$;});
# Several attempts of librdkafka's, a second apart at the most.
wait_for_query($node, 'postgres', "SELECT clock_timestamp() > '$since'::timestamptz + interval '4 s'");
is(stat_of($node, 'state'), 'waiting', 'it still waits');
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is(scalar(consume($kafka, 'load')), 500, 'what was sent meanwhile arrives');
is(publisher_pid($node), $pid, 'from the same process');
my @lines = grep { /\[$pid\]/ } split /\n/, substr(slurp_file($node->logfile), $position);
note($_) foreach @lines;
is(scalar(grep { /is now waiting$/ } @lines), 1, 'the log says once that it waits');
is(scalar(grep { /is now streaming$/ } @lines), 1, 'and once that it goes on');
cmp_ok(scalar @lines, '<=', 6, 'and not much besides');

# Processes end: others take their place, one each.
sub comes_back
{
	my ($what, $end) = @_;
	my ($launcher, $publisher) = (launcher_pid($node), publisher_pid($node));

	$end->($launcher, $publisher);
	wait_for_state($node, 'postgres', 'streaming');
	send_message($node, 'back', $what);
	wait_caught_up($node);
	is($node->safe_psql('postgres', $publishers), 1, "$what: one publisher");
	is($node->safe_psql('postgres',
		q{SELECT active_pid = pid FROM pg_replication_slots NATURAL JOIN pg_stat_eventuate}),
		't', "$what: and it has the slot");
}

# Is the slot's confirmed position in its file?
sub is_saved
{
	my ($name, $confirmed) = split /\|/,
	  $node->safe_psql('postgres', q{SELECT slot_name, confirmed_flush_lsn - '0/0' FROM pg_replication_slots});
	return index(slurp_file($node->data_dir . "/pg_replslot/$name/state"), pack('Q', $confirmed)) >= 0;
}

sub replaced
{
	my ($function, $old) = @_;
	wait_until("another process than $old", sub { $function->($node) != $old });
}

comes_back('publisher terminated', sub {
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($_[1])");
	replaced(\&publisher_pid, $_[1]);
});
comes_back('launcher terminated', sub {
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0])");
	replaced(\&launcher_pid, $_[0]);
	is(publisher_pid($node), $_[1], 'a publisher outlives its launcher');
});
comes_back('both terminated', sub {
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0]), pg_terminate_backend($_[1])");
	replaced(\&launcher_pid, $_[0]);
	replaced(\&publisher_pid, $_[1]);
});
comes_back('launcher killed', sub {
	# A crash of the server: the slot is as it was saved, at most 100 ms ago.
	wait_until('a saved slot', \&is_saved);
	kill 'KILL', $_[0];
	replaced(\&launcher_pid, $_[0]);
	replaced(\&publisher_pid, $_[1]);
});
is_deeply(
	[ payloads_of(consume($kafka, 'back')) ],
	[ 'publisher terminated', 'launcher terminated', 'both terminated', 'launcher killed' ],
	'each time what is sent afterwards arrives, once');
$node->stop;

# A server that is too small says what to raise.
my $small = new_node('small', kafka => $kafka,
	conf => "max_worker_processes = 2\nmax_replication_slots = 1\n");
$small->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('taken')});
wait_for_query($small, 'postgres',
	q{SELECT concat(state, ': ', last_error) FROM pg_stat_eventuate},
	'starting: no background worker is free; raise max_worker_processes to at least 3');
send_message($small, 'small', 'no worker');
my $said = () = slurp_file($small->logfile) =~ /no background worker is free/g;
is($said, 1, 'the log says once that no worker is free');
$small->append_conf('postgresql.conf', 'max_worker_processes = 3');
$small->restart;
wait_for_query($small, 'postgres',
	q{SELECT concat(state, ': ', last_error) FROM pg_stat_eventuate},
	'waiting: all replication slots are in use; raise max_replication_slots to at least 2');
send_message($small, 'small', 'no slot');
$small->append_conf('postgresql.conf', 'max_replication_slots = 2');
$small->restart;
wait_for_state($small, 'postgres', 'streaming');
wait_caught_up($small);
is_deeply([ payloads_of(consume($kafka, 'small')) ], [ 'no worker', 'no slot' ],
	'with room for worker and slot everything arrives');

# Between two publishers, which a launcher that sleeps makes long.
my ($launcher, $publisher) = (launcher_pid($small), publisher_pid($small));
kill('STOP', $launcher);
kill('TERM', $publisher);
wait_for_query($small, 'postgres', q{SELECT state || coalesce(pid, 0) FROM pg_stat_eventuate}, 'starting0');
kill('CONT', $launcher);
wait_for_state($small, 'postgres', 'streaming');
isnt(publisher_pid($small), $publisher, 'without a process the state is that of a start');

done_testing();

sub set
{
	my ($server, $setting, $value) = @_;
	$server->safe_psql('postgres', "ALTER SYSTEM SET $setting = '$value'");
	$server->reload;
}

sub send_message
{
	my ($server, $topic, $payload) = @_;
	$server->safe_psql('postgres', "SELECT eventuate_send('$topic', '$payload', 'k')");
}
