# What anybody can write to WAL does the publisher no harm where it takes the
# shortcut past PostgreSQL's replay.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	conf => "autovacuum = off\nlogical_decoding_work_mem = 1MB\n");
wait_for_state($node, 'postgres', 'streaming');
$kafka->create_topic('one', 1);
$node->safe_psql('postgres', q{
	CREATE ROLE anybody LOGIN;
	CREATE TABLE other (id int);
	-- The lower bytes of a number, the lowest first.
	CREATE FUNCTION bytes(number bigint, count int) RETURNS bytea LANGUAGE sql AS $$
		SELECT string_agg(set_byte('\x00', 0, (number >> 8 * i & 255)::int), '' ORDER BY i)
		FROM generate_series(0, count - 1) AS i $$});

sub send_message
{
	my ($payload) = @_;
	$node->safe_psql('postgres', "SELECT eventuate_send('one', '$payload', 'k')");
	wait_caught_up($node);
	return;
}

# Storing progress has the publisher look the tables up again, at once after the
# first message and then not for ten seconds.
sub settle
{
	my $snapshot = 'SELECT snapshot::text FROM eventuate.progress';
	my $before = $node->safe_psql('postgres', $snapshot);
	send_message($_[0]);
	wait_until('progress is stored', sub { $node->safe_psql('postgres', $snapshot) ne $before });
	return;
}

# ---------------------------------------------------------------------
# The first message in WAL that a process sees, where no transaction is
# ---------------------------------------------------------------------
settle('first');
send_message('known');
my $pid = publisher_pid($node);
$node->safe_psql('postgres', q{
	SELECT pg_logical_emit_message(true, 'eventuate', repeat('\000', 16)::bytea || bytes(1, 4) ||
		bytes(d.oid::bigint, 4) || bytes('eventuate.message'::regclass::oid::bigint, 4) || bytes(1, 4) ||
		bytes(pg_current_xact_id()::text::bigint, 8) || repeat('x', 30)::bytea)
	FROM pg_database AS d WHERE datname = current_database()},
	extra_params => [ '-U', 'anybody' ]);
send_message('after a forged one');
is_deeply([ payloads_of(consume($kafka, 'one')) ], [ 'first', 'known', 'after a forged one' ],
	'a message that somebody else wrote is none');
is(publisher_pid($node), $pid, 'and the publisher goes on');

# ---------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------
sub memory_of
{
	my ($status) = slurp_file("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+) kB/m;
	return $status;
}

my $empty = $node->background_psql('postgres', extra_params => [ '-U', 'anybody' ]);
my $memory = memory_of($pid);
$empty->query_safe(q{BEGIN});
$empty->query_safe(q{SELECT count(pg_logical_emit_message(true, 'eventuate', '')) FROM generate_series(1, 500000)});
send_message('beside very many');
cmp_ok(memory_of($pid) - $memory, '<', 20_000, 'very many empty messages take little memory, in kB');
$empty->query_safe('ROLLBACK');
$empty->quit;

# ---------------------------------------------------------------------
# Invalidations without a change of a catalog
# ---------------------------------------------------------------------
send_message('known again');
my @open = map { $node->background_psql('postgres') } 1 .. 3;
$_->query_safe(q{BEGIN; SELECT eventuate_send('one', 'open', 'k')}) foreach @open;
$node->safe_psql('postgres', q{
	BEGIN; SELECT pg_current_xact_id(); SECURITY LABEL FOR eventuate ON TABLE other IS NULL; COMMIT});
$_->query_safe('COMMIT') foreach @open;
$_->quit foreach @open;
wait_caught_up($node);
is_deeply([ (payloads_of(consume($kafka, 'one')))[ -3 .. -1 ] ], [ ('open') x 3 ], 'rows that waited while a transaction with invalidations committed');
is(publisher_pid($node), $pid, 'by the same publisher');

done_testing();
