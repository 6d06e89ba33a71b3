# The life of databases and of the extension while publishers run.

use strict;
use warnings;

use lib 't';
use Eventuate;
use PostgreSQL::Test::Utils ();

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "max_worker_processes = 12\n");
wait_for_state($node, 'postgres', 'streaming');

# What topic "second" has, once it has this.
sub wait_for_payload
{
	my ($payload) = @_;
	my @records;

	wait_until($payload, sub {
		@records = consume($kafka, 'second');
		return grep { $_ eq $payload } payloads_of(@records);
	});
	return @records;
}

# Two at once, each with its own slot.
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('two', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'two', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('first', 'x')});
$node->safe_psql('two', q{SELECT eventuate_send('second', 'y')});
wait_caught_up($node, 'postgres');
wait_caught_up($node, 'two');
is(scalar(consume($kafka, 'first')), 1, 'one database publishes its message');
is(scalar(consume($kafka, 'second')), 1, 'and another its own');
is($node->safe_psql('postgres', q{SELECT string_agg(datname || active, ' ' ORDER BY datname)
	FROM pg_replication_slots JOIN pg_database ON database = datname}),
	'postgrestrue twotrue', 'each has a slot');

# A copy stays silent until it is told not to.
$node->safe_psql('two', q{SELECT eventuate_pause()});
wait_for_state($node, 'two', 'paused');
$node->safe_psql('two', q{SELECT eventuate_send('second', 'unpublished')});
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE two');
wait_for_state($node, 'copy', 'stopped');
like(stat_of($node, 'last_error', 'copy'), qr/database was copied/, 'a copied database says why it is silent');
$node->safe_psql('copy', q{SELECT eventuate_send('second', 'of the copy')});
$node->safe_psql('two', q{SELECT eventuate_resume()});
wait_for_state($node, 'two', 'streaming');
wait_caught_up($node, 'two');
is(scalar(consume($kafka, 'second')), 2, 'and is silent: only the original publishes');
$node->safe_psql('copy', q{SELECT eventuate_resume(skip_existing => true)});
wait_for_state($node, 'copy', 'streaming');
$node->safe_psql('copy', q{SELECT eventuate_send('second', 'resumed')});
wait_caught_up($node, 'copy');
my @second = payloads_of(consume($kafka, 'second'));
is_deeply([ sort @second ], [ 'resumed', 'unpublished', 'y' ],
	'resumed without what was there, it publishes what comes');

# SET TABLESPACE moves a database whose publisher is at work.
my $tablespace = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$tablespace'");
$node->safe_psql('postgres', 'ALTER DATABASE copy SET TABLESPACE elsewhere');
$node->safe_psql('copy', q{SELECT eventuate_send('second', 'moved')});
wait_for_state($node, 'copy', 'streaming');
wait_caught_up($node, 'copy');
is(scalar(consume($kafka, 'second')), @second + 1, 'a database that was moved publishes what comes');

# What is in WAL by then names files that are gone; Kafka has not got it yet.
$kafka->stop;
$node->safe_psql('copy', q{SELECT eventuate_send('second', 'unpublished when moved')});
my $position = log_position($node);
$node->safe_psql('postgres', 'ALTER DATABASE copy SET TABLESPACE pg_default');
$kafka->start;
wait_for_log($node, qr/could not map file/, $position);
my %seen = map { $_ => 1 } payloads_of(wait_for_payload('unpublished when moved'));
is(scalar(keys %seen), @second + 2, 'nor is anything lost that was unpublished');
wait_for_state($node, 'copy', 'streaming');

# RENAME and DROP make the publisher leave.
$node->safe_psql('postgres', 'ALTER DATABASE copy RENAME TO renamed');
wait_for_state($node, 'renamed', 'streaming');
$node->safe_psql('postgres', 'DROP DATABASE renamed');
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_eventuate}, 2);
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_replication_slots}), 2,
	'a dropped database leaves no slot');

# A command that its user may not give holds nobody.
$node->safe_psql('postgres', 'CREATE ROLE nobody');
my $pid = publisher_pid($node, 'two');
my ($status, $out, $err) = $node->psql('postgres', 'SET ROLE nobody; DROP DATABASE two');
like($err, qr/must be owner of database two/, 'others cannot drop it');
is(publisher_pid($node, 'two'), $pid, 'nor send its publisher away');

# DROP EXTENSION: not while messages are unpublished.
$node->safe_psql('two', q{SELECT eventuate_send('second', 'last')});
$node->safe_psql('two', 'DROP EXTENSION eventuate');
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_replication_slots}, 1);
is((grep { $_ eq 'last' } payloads_of(consume($kafka, 'second'))), 1, 'the extension goes once all is published');
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_eventuate}, 1);
$node->safe_psql('two', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'two', 'streaming');
$node->safe_psql('two', q{SELECT eventuate_send('second', 'again')});
wait_caught_up($node, 'two');
is((grep { $_ eq 'again' } payloads_of(consume($kafka, 'second'))), 1, 'created again it publishes again');

$node->safe_psql('two', q{SELECT eventuate_pause()});
wait_for_state($node, 'two', 'paused');
$node->safe_psql('two', q{SELECT eventuate_send('second', 'stuck')});
($status, $out, $err) = $node->psql('two', "\\set VERBOSITY verbose\nDROP EXTENSION eventuate");
like($err, qr/2BP01: cannot drop extension eventuate because it has unpublished messages/,
	'with unpublished messages it stays');
like($err, qr/HINT: .*CASCADE/, 'unless CASCADE says otherwise');
$node->safe_psql('two', 'DROP EXTENSION eventuate CASCADE');
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_replication_slots}, 1);

done_testing();
