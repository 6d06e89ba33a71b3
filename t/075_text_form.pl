# The text of values in records is the same whatever the server, the database
# or the role have set: from WAL, by polling, and when it is sent again.  (What
# eventuate_attach() finds: sql/attach.sql.)

use strict;
use warnings;

use lib 't';
use Eventuate;

# A locale with a currency of its own, where one can be made.
my $locales = PostgreSQL::Test::Utils::tempdir();
my $money = system("localedef -i de_DE -f UTF-8 $locales/de_DE.UTF-8 >/dev/null 2>&1") == 0;
note('no locale for lc_monetary: the package "locales" is missing') unless $money;
local $ENV{LOCPATH} = $locales;
my @settings = (
	[ datestyle => 'SQL, DMY' ],
	[ timezone => 'Asia/Kolkata' ],
	[ intervalstyle => 'iso_8601' ],
	[ extra_float_digits => -5 ],
	[ bytea_output => 'escape' ],
	$money ? [ lc_monetary => 'de_DE.UTF-8' ] : ());
my $expected = '2020-04-06 23:02:03.5+00|{"1 day 02:03:04"}|0.10000000149011612|{"\\\\x01ff"}|public.observed|$1.50';
my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => join '', map { "$_->[0] = '$_->[1]'\n" } @settings);

sub run { return $node->safe_psql('postgres', $_[0]); }

run("ALTER DATABASE postgres SET $_->[0] = '$_->[1]'; ALTER ROLE CURRENT_USER SET $_->[0] = '$_->[1]'") foreach @settings;
run(q{CREATE TABLE observed (id int PRIMARY KEY, at timestamptz DEFAULT '2020-04-07 01:02:03.5+02', i interval[] DEFAULT '{1 day 2:03:04}',
		f float8 DEFAULT 0.1::float4, b bytea[] DEFAULT '{\\\\x01ff}', r regclass, m money DEFAULT 1.5::numeric);
	ALTER TABLE observed ALTER r SET DEFAULT 'observed';
	CREATE UNLOGGED TABLE polled (LIKE observed INCLUDING ALL);});

# The columns of the newest row as they are on Kafka.
my $row = 0;

sub published
{
	my ($table, $reader) = @_;
	my @values;
	$row++;
	foreach my $column (qw(at i f b r m))
	{
		run(qq{SELECT eventuate_attach('$table', 'raw', columns => '{"value": "$column"}', topic => '$column-$row', reader => '$reader')});
		run("INSERT INTO $table VALUES ($row)");
		push @values, (wait_for_records($kafka, "$column-$row", 1))[0]{value};
		run("DELETE FROM $table") if $reader eq 'wal';
		wait_for_query($node, 'postgres', "SELECT count(*) FROM $table", 0);
	}
	return join '|', @values;
}

$node->restart;
wait_for_state($node, 'postgres', 'streaming');
is(published('observed', 'wal'), $expected, 'from WAL');
is(published('polled', 'polling'), $expected, 'by polling');

# From a table message that was adopted, whose payload need not be text.
$node->safe_psql('postgres', 'CREATE DATABASE adopted');
is($node->safe_psql('adopted', q{
	CREATE SCHEMA eventuate;
	CREATE TABLE eventuate.message (id text PRIMARY KEY, destination text, headers text, payload timestamptz,
		published int2 DEFAULT 0, message_partition int2, creation_time int8);
	CREATE EXTENSION eventuate;
	INSERT INTO eventuate.message VALUES ('1', 'again', '{"ID":"1"}', '2020-04-07 01:02:03.5+02', 0, NULL, 0);
	SELECT payload FROM eventuate.message;
	SELECT eventuate_replay('1970-01-01', '1970-01-02');
	SELECT payload FROM eventuate.message;}), "07/04/2020 04:32:03.5 IST\n1\n07/04/2020 04:32:03.5 IST", 'the session keeps its own');
is_deeply([ map { $_->{value} } wait_for_records($kafka, 'again', 2) ],
	[ ('{"payload":"2020-04-06 23:02:03.5+00","headers":{"ID":"1"}}') x 2 ], 'sent again');

# A reload changes nothing.
my $log = log_position($node);
$node->append_conf('postgresql.conf', "timezone = 'Asia/Tokyo'\ndatestyle = 'German'");
$node->reload;
wait_for_log($node, qr/parameter "datestyle" changed/i, $log);
is(published('observed', 'wal'), $expected, 'after a reload');

done_testing();
