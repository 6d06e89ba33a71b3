# Pause and resume, and who may steer and watch.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
my $pid = publisher_pid($node);

# Paused, over a restart of the server.
send_message('paused', 'before');
wait_caught_up($node);
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
isnt(publisher_pid($node), $pid, 'a pause is a restart of the publisher');
is(stat_of($node, 'last_error'), '', 'and no error');
send_message('paused', "while paused $_") foreach 1 .. 3;
$node->restart;
wait_for_state($node, 'postgres', 'paused');
send_message('paused', 'after the restart');
wait_for_query($node, 'postgres', q{SELECT NOT active FROM pg_replication_slots});
is_deeply([ payloads('paused') ], ['before'], 'nothing is published while paused');

# What is rolled back has no effect, either way.
$node->safe_psql('postgres', 'BEGIN; SELECT eventuate_resume(); ROLLBACK');
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT s; SELECT eventuate_resume(); ROLLBACK TO s; COMMIT');
send_message('paused', 'after a resume that was none');
is(stat_of($node, 'state'), 'paused', 'a resume that is rolled back is none');

$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
my @expected = (
	'before', (map { "while paused $_" } 1 .. 3),
	'after the restart', 'after a resume that was none');
is_deeply([ payloads('paused') ], \@expected, 'resumed, everything arrives once and in order');

$pid = publisher_pid($node);
$node->safe_psql('postgres', q{BEGIN; SELECT eventuate_pause(), eventuate_send('paused', 'undone'); ROLLBACK});
$node->safe_psql('postgres', q{BEGIN; SAVEPOINT s; SELECT eventuate_pause(); ROLLBACK TO s; COMMIT});
send_message('paused', 'after a pause that was none');
wait_caught_up($node);
is_deeply([ payloads('paused') ], [ @expected, 'after a pause that was none' ],
	'a pause that is rolled back is none');
is($node->safe_psql('postgres', 'SELECT paused FROM eventuate.progress'), 'f', 'nor is it noted');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');

# Resumed without what is there.
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
send_message('skipped', "old $_") foreach 1 .. 3;
$node->safe_psql('postgres', q{SELECT eventuate_produce('skipped', 'old record')});
my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT eventuate_send('skipped', 'committed later', 'k')});
$node->safe_psql('postgres', 'SELECT eventuate_resume(skip_existing => true)');
$open->query_safe('COMMIT');
$open->quit;
wait_for_state($node, 'postgres', 'streaming');
send_message('skipped', 'new');
wait_caught_up($node);
is_deeply([ payloads('skipped') ], [ 'committed later', 'new' ],
	'resume(skip_existing) leaves out what was committed before, and only that');

# What the caller itself has sent is committed with the resume, not before;
# also if others, who came later, have committed meanwhile.
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT eventuate_send('own', 'of the caller', 'k')});
$node->safe_psql('postgres', 'CREATE TABLE later ()');
$open->query_safe('SELECT eventuate_resume(skip_existing => true); COMMIT');
$open->quit;
send_message('own', 'then');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is_deeply([ payloads('own') ], [ 'of the caller', 'then' ],
	'what the caller has sent goes out');

$node->restart;
wait_for_state($node, 'postgres', 'streaming');
send_message('skipped', 'newer');
wait_caught_up($node);
is_deeply([ payloads('skipped') ], [ 'committed later', 'new', 'newer' ], 'for good');

# Privileges: nobody steers but those to whom it is granted.
$node->safe_psql('postgres', q{
	CREATE ROLE nobody LOGIN;
	CREATE ROLE operator LOGIN;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	GRANT EXECUTE ON FUNCTION eventuate_pause(), eventuate_resume(bool), pg_stat_reset_eventuate() TO operator;});
foreach my $call ('eventuate_pause()', 'eventuate_resume()', 'eventuate_resume(true)',
	'pg_stat_reset_eventuate()', 'eventuate_kafka_settings()')
{
	foreach my $role ('nobody', 'watcher')
	{
		like(as($role, "SELECT $call"), qr/^ERROR:  42501: permission denied for function/m,
			"$role may not call $call");
	}
}
like(as('nobody', 'SELECT * FROM pg_stat_eventuate'), qr/42501: permission denied for view pg_stat_eventuate/,
	'nor read the view');
like(as('nobody', 'SELECT * FROM eventuate.stat_databases()'), qr/42501: permission denied for function/,
	'nor what is behind it');
like(as('operator', 'UPDATE eventuate.progress SET paused = true'), qr/42501: permission denied for table progress/,
	'the right to steer is none to the table');
is(as('watcher', 'SELECT datname, state FROM pg_stat_eventuate'), 'postgres|streaming',
	'pg_monitor reads the view');
as('operator', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
as('operator', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
pass('who was granted it pauses and resumes');

# Counters.
send_message('counted', $_) foreach 1 .. 5;
wait_caught_up($node);
cmp_ok(stat_of($node, 'messages'), '>=', 5, 'messages are counted');
my $bytes = stat_of($node, 'bytes');
cmp_ok($bytes, '>', 5 * 50, 'and their bytes');
my $reset = stat_of($node, 'stats_reset');
as('operator', 'SELECT pg_stat_reset_eventuate()');
is(stat_of($node, "concat_ws(' ', messages, bytes, last_error, last_error_time)"), '0 0',
	'reset, counters begin at zero and the last error is gone');
is(stat_of($node, "stats_reset > '$reset'"), 't', 'and the view says since when');
send_message('counted', 6);
wait_caught_up($node);
is(stat_of($node, 'messages'), 1, 'they go on from there');

done_testing();

sub send_message
{
	my ($topic, $payload) = @_;
	$node->safe_psql('postgres', "SELECT eventuate_send('$topic', '$payload', 'k')");
}

sub payloads
{
	return payloads_of(consume($kafka, $_[0]));
}

# What a role sees, answer or error.
sub as
{
	my ($role, $query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query",
		connstr => $node->connstr('postgres') . " user=$role");
	$err =~ s/^psql:<stdin>:\d+: //mg;
	return $out . $err;
}
