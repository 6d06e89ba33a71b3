# Ids are unique and ascend in the order of sending, whatever the clock does.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $tempdir = PostgreSQL::Test::Utils::tempdir();

sub write_file
{
	my ($name, $text) = @_;

	# At once, so that nobody reads half of it.
	open(my $file, '>', "$tempdir/$name.new") or die "could not write $name: $!";
	print $file $text;
	close($file) or die "could not write $name: $!";
	rename("$tempdir/$name.new", "$tempdir/$name") or die "could not rename $name: $!";
	return "$tempdir/$name";
}

# ---------------------------------------------------------------------
# Sixteen sessions at once, and a restart
# ---------------------------------------------------------------------
my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => 'max_connections = 30');
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{
	CREATE TABLE sent (n bigserial, run int, client int, id text);
	CREATE TABLE given (run int, id text);});

# One transaction sends in an order that all agree on; one sends as it likes.
my $script = write_file('send.sql', q{
BEGIN;
SELECT pg_advisory_xact_lock(1);
INSERT INTO sent (run, client, id)
	SELECT :run, :client_id, CASE i % 3 WHEN 0 THEN eventuate_produce('ids', 'v') ELSE eventuate_send('ids', 'p', 'k') END
	FROM generate_series(1, 9) AS i;
COMMIT;
INSERT INTO given SELECT :run, eventuate.next_id() FROM generate_series(1, 500);
SELECT eventuate_send('ids', 'p') FROM generate_series(1, 5);
});

foreach my $run (1, 2)
{
	if ($run == 2)
	{
		# What is not acknowledged yet comes twice.
		wait_caught_up($node);
		$node->restart;
	}
	$node->command_ok(
		[ 'pgbench', '-n', '-c', '16', '-j', '2', '-t', '40', '-D', "run=$run", '-f', $script, 'postgres' ],
		"16 sessions send, run $run");
	is($node->safe_psql('postgres',
			qq{SELECT count(*), count(DISTINCT client), count(*) FILTER (WHERE id COLLATE "C" <= before COLLATE "C")
			   FROM (SELECT *, lag(id) OVER (ORDER BY n) AS before FROM sent WHERE run = $run) AS s}),
		'5760|16|0', "ids ascend in the order of sending, run $run");
}
is($node->safe_psql('postgres',
		q{SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE id ~ '^[0-9a-f]{16}-[0-7][13579bdf][0-9a-f]{14}$')
		  FROM (SELECT id FROM given UNION ALL SELECT id FROM eventuate.message UNION ALL SELECT id FROM eventuate.record) AS all_ids}),
	'657920|657920|657920', 'ids are unique, also over a restart, and never have a real MAC address');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT left(split_part(id, '-', 2), 12)) FROM given}),
	2, 'every start of the server has its own node');

wait_caught_up($node);
my %count;
foreach my $record (consume($kafka, 'ids'))
{
	my ($id) = $record->{value} =~ /"ID":"([^"]*)"/ or next;
	$count{$id}++;
}
is(scalar keys %count, 2 * 16 * 40 * (6 + 5), 'every message has its id on Kafka');
is(scalar(grep { $_ != 1 } values %count), 0, 'none comes twice');
$node->stop;

# ---------------------------------------------------------------------
# A clock that is set back, and one that stands still
# ---------------------------------------------------------------------
my ($libfaketime) = glob '/usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1';
die "libfaketime is missing: script/dependencies test\n" unless $libfaketime;

my $clock = new_node('clock', extension => 0, start => 0);
my $fake = sub { return write_file('faketime', "$_[0]\n"); };

sub with_fake_clock
{
	my ($code) = @_;
	local $ENV{LD_PRELOAD} = $libfaketime;
	local $ENV{FAKETIME_TIMESTAMP_FILE} = "$tempdir/faketime";
	local $ENV{FAKETIME_NO_CACHE} = 1;
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	return $code->();
}

# As ms since 1970, by the server's clock.
sub clock_of
{
	return $clock->safe_psql('postgres', 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)');
}

my $runs = 0;

sub give
{
	my ($count) = @_;
	$runs++;
	$clock->safe_psql('postgres', "INSERT INTO given (run, id) SELECT $runs, eventuate.next_id() FROM generate_series(1, $count)");
	$clock->safe_psql('postgres', "INSERT INTO given (run, id) SELECT $runs, eventuate_send('c', 'p') FROM generate_series(1, 10)");
	return $runs;
}

# Of a run's first or last id ("min", "max") the milliseconds.
sub stamp
{
	my ($which, $run) = @_;
	no warnings 'portable';
	return hex(substr $clock->safe_psql('postgres', qq{SELECT $which(id COLLATE "C") FROM given WHERE run = $run}), 0, 16);
}

sub descents
{
	return $clock->safe_psql('postgres',
		q{SELECT count(*) FROM (SELECT id, lag(id) OVER (ORDER BY n) AS before FROM given WHERE run BETWEEN } . "$_[0] AND $_[1]"
		  . q{) AS g WHERE id COLLATE "C" <= before COLLATE "C"});
}

$fake->('+0');
with_fake_clock(sub { $clock->start; });
$clock->safe_psql('postgres',
	'CREATE EXTENSION eventuate; CREATE TABLE given (n bigserial, run int, id text)');
my $before = clock_of();
my $first = give(1000);
cmp_ok(stamp('min', $first), '>=', $before, 'an id begins with the time');
cmp_ok(stamp('max', $first), '<=', clock_of(), 'and is not ahead of it');

$fake->('-1d');
cmp_ok(clock_of(), '<', $before - 3600_000, 'the clock is set back by a day');
my $second = give(1000);
is(descents($first, $second), 0, 'ids ascend all the same');
cmp_ok(stamp('max', $second) - stamp('max', $first), '<', 1000, 'and hardly run ahead');

$fake->('+1d');
my $third = give(1000);
is(descents($first, $third), 0, 'ids ascend when the clock is set forward');
cmp_ok(stamp('min', $third), '>', $before + 3600_000, 'and follow it');

# More ids than the counter of one millisecond holds, as the clock stands.
$fake->('2031-01-01 00:00:00');
my $still = clock_of();
is(clock_of(), $still, 'the clock stands still');
my $fourth = give(150_000);
is(descents($first, $fourth), 0, 'ids ascend while the clock stands still');
is(stamp('max', $fourth) - stamp('min', $fourth), 2, 'a counter that is spent borrows the next millisecond');

# On after a restart; then, after a crash while the clock stands still, the
# same milliseconds again.
$fake->('2031-01-01 00:00:01');
$still = clock_of();
with_fake_clock(sub { $clock->restart; });
is(clock_of(), $still, 'the clock stands still over a restart');
my $fifth = give(150_000);
is(descents($first, $fifth), 0, 'ids ascend after the restart');
is(stamp('min', $fifth), $still, 'and do not run ahead of the clock');
with_fake_clock(sub { $clock->stop('immediate'); $clock->start; });
my $sixth = give(1000);
is(stamp('min', $sixth), stamp('min', $fifth), 'the same milliseconds come again after a crash');
is($clock->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT id), count(DISTINCT run) FROM given'),
	'0|6', 'no id is ever given twice');
is($clock->safe_psql('postgres', 'SELECT count(*) FROM eventuate.message'), 60, 'and every message is there');
$clock->stop;

done_testing();
