# The output plugin used by others, and the slot beside WAL that is not ours.

use strict;
use warnings;

use lib 't';
use Eventuate;
use JSON::PP ();
use MIME::Base64 ();

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "autovacuum = off\n");
wait_for_state($node, 'postgres', 'streaming');
$kafka->create_topic('plugin', 4);

# A second slot sees what the publisher sends.
$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('second', 'eventuate')});
$node->safe_psql('postgres', qq{
	CREATE TABLE other (t text);
	SELECT eventuate_send('plugin', E'line\\n"quoted" \\u00e9\\U0001F600', 'key', '{"h": "v"}');
	BEGIN;
	INSERT INTO other VALUES ('not a message');
	SELECT eventuate_produce('plugin', 'text', 'k', '{"a": "b"}', partition => 3);
	SAVEPOINT s;
	SELECT eventuate_send('plugin', 'undone');
	ROLLBACK TO s;
	SELECT eventuate_produce('plugin', '\\x00ff0a'::bytea, '\\xfe'::bytea, '[{"key": "n", "value": null}, {"key": "b", "base64": "/w=="}]', partition => 2);
	SELECT eventuate_produce('plugin', NULL, 'gone', partition => 1);
	UPDATE eventuate.record SET topic = 'elsewhere';
	COMMIT;
	UPDATE eventuate.message SET published = 1;
	DELETE FROM eventuate.message;});
wait_caught_up($node);

my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
my $text = $node->pg_recvlogical_upto('postgres', 'second', $end, $Eventuate::timeout);
my $json = JSON::PP->new->utf8;
my @lines = map { $json->decode($_) } split /\n/, $text;
my %from_kafka = map { $_->{key} => $_ } consume($kafka, 'plugin');
is(scalar(keys %from_kafka), 4, 'four messages were sent');
is(scalar @lines, 4, 'pg_recvlogical reads as many lines');
foreach my $line (@lines)
{
	my $record = $from_kafka{ bytes($line, 'key') };
	my $what = $line->{key} // $line->{key_base64};

	like($line->{time}, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/, "$what: time of commit");
	is_deeply(
		[
			$line->{topic}, bytes($line, 'key'), bytes($line, 'value'),
			[ map { my $name = $_->{key}; utf8::encode($name); [ $name, bytes($_, 'value') ] } @{ $line->{headers} } ]
		],
		[ @$record{qw(topic key value headers)} ],
		"$what: topic, key, value and headers are the record's");
	is($line->{partition}, $what eq 'key' ? undef : $record->{partition}, "$what: the partition, if one was named");
}
is_deeply([ map { $_->{key} // $_->{key_base64} } @lines ], [ 'key', 'k', '/g==', 'gone' ],
	'in the order in which they were sent');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_replication_slots WHERE plugin = 'eventuate'}),
	2, 'both slots live side by side');
$node->safe_psql('postgres', q{SELECT eventuate_produce('plugin', 'later', 'k', partition => 0)});
is($node->safe_psql('postgres',
	q{SELECT data FROM pg_logical_slot_get_changes('second', NULL, NULL, 'include_time', 'false')}),
	'{"topic":"plugin","key":"k","value":"later","headers":[],"partition":0}',
	'without the time a line is reproducible');
wait_caught_up($node);
is((consume($kafka, 'plugin', partition => 0))[-1]{value}, 'later', 'and the publisher goes on');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('second')});

# WAL that is not ours does not hold the slot: of this database, of another.
$node->safe_psql('postgres', 'CREATE DATABASE foreign_db');
$node->safe_psql('foreign_db', 'CREATE TABLE other (t text)');
foreach my $database ('postgres', 'foreign_db')
{
	my $write = q{INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 100)};

	$node->safe_psql($database, $write);
	my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
	wait_for_query($node, 'postgres', "SELECT published_lsn >= '$lsn' FROM pg_stat_eventuate");
	wait_for_query($node, 'postgres', "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots");

	# restart_lsn follows the running-xacts records that checkpoints write.
	wait_until(
		'restart_lsn',
		sub {
			$node->safe_psql($database, "$write; CHECKPOINT");
			return $node->safe_psql('postgres', "SELECT restart_lsn >= '$lsn' FROM pg_replication_slots") eq 't';
		});
	pass("writes to $database alone move confirmed_flush_lsn and restart_lsn");
}
is(stat_of($node, 'messages'), 5, 'nothing was sent for that');

# After a restart it does not read all of that again.
my $confirmed = $node->safe_psql('postgres', 'SELECT confirmed_flush_lsn FROM pg_replication_slots');
$node->restart;
wait_for_state($node, 'postgres', 'streaming');
is($node->safe_psql('postgres', "SELECT confirmed_flush_lsn >= '$confirmed' FROM pg_replication_slots"),
	't', 'what was confirmed is saved');

# An idle database writes no WAL: not in longer than any interval there is.
# The background writer may have a last word.
$node->safe_psql('postgres', q{SELECT eventuate_produce('plugin', 'last', 'k', partition => 0)});
wait_caught_up($node);
$node->safe_psql('postgres', 'CHECKPOINT') foreach 1 .. 2;
my $grown;
foreach my $window (1 .. 3)
{
	my ($lsn, $time) = split /\|/, $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn(), clock_timestamp()');
	wait_for_query($node, 'postgres', "SELECT clock_timestamp() > '$time'::timestamptz + interval '12 s'");
	$grown = $node->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() - '$lsn'");
	note("window $window: $grown bytes of WAL");
	last if $grown == 0;
}
is($grown, 0, 'an idle database writes no WAL');

done_testing();

# A member of a line, as bytes.
sub bytes
{
	my ($object, $name) = @_;
	my $value = $object->{$name};

	# A header's bytes are called as eventuate_produce() calls them.
	foreach my $base64 ("${name}_base64", 'base64')
	{
		return MIME::Base64::decode_base64($object->{$base64}) if exists $object->{$base64};
	}
	utf8::encode($value) if defined $value;
	return $value;
}
