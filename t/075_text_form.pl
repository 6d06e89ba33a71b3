# The text of values in records is the same whatever the server, the database
# or the role have set, from WAL and by polling.  (In sessions: sql/attach.sql.)

use strict;
use warnings;

use lib 't';
use Eventuate;

my @settings = (
	[ datestyle => 'SQL, DMY' ],
	[ timezone => 'Asia/Kolkata' ],
	[ intervalstyle => 'iso_8601' ],
	[ extra_float_digits => -5 ],
	[ bytea_output => 'escape' ]);
my $expected = '2020-04-06 23:02:03.5+00|{"1 day 02:03:04"}|0.10000000149011612|{"\\\\x01ff"}|public.observed';
my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => join '', map { "$_->[0] = '$_->[1]'\n" } @settings);

sub run { return $node->safe_psql('postgres', $_[0]); }

run("ALTER DATABASE postgres SET $_->[0] = '$_->[1]'; ALTER ROLE CURRENT_USER SET $_->[0] = '$_->[1]'") foreach @settings;
run(q{CREATE TABLE observed (id int PRIMARY KEY, at timestamptz DEFAULT '2020-04-07 01:02:03.5+02', i interval[] DEFAULT '{1 day 2:03:04}',
		f float8 DEFAULT 0.1::float4, b bytea[] DEFAULT '{\\\\x01ff}', r regclass);
	ALTER TABLE observed ALTER r SET DEFAULT 'observed';
	CREATE UNLOGGED TABLE polled (LIKE observed INCLUDING ALL);});

# The columns of the newest row as they are on Kafka.
my $row = 0;

sub published
{
	my ($table, $reader) = @_;
	my @values;
	$row++;
	foreach my $column (qw(at i f b r))
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

# A reload changes nothing.
my $log = log_position($node);
$node->append_conf('postgresql.conf', "timezone = 'Asia/Tokyo'\ndatestyle = 'German'");
$node->reload;
wait_for_log($node, qr/parameter "datestyle" changed/i, $log);
is(published('observed', 'wal'), $expected, 'after a reload');

done_testing();
