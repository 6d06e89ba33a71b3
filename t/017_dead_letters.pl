# What Kafka refuses for good becomes a dead letter; everything else flows.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka, restart_after_crash => 1,
	conf => "eventuate.refusal_grace = 2s\n");
$kafka->create_topic('small', 1, 'max.message.bytes=2000');
$kafka->create_topic('narrow', 1);
wait_for_state($node, 'postgres', 'streaming');

my $large = q{(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i)};

sub letters
{
	my ($what) = @_;
	return $node->safe_psql('postgres',
		"SELECT $what FROM eventuate.dead_letter ORDER BY lsn, sequence_number");
}

# Too large for its topic, among others of one transaction and one key.
my $ids = $node->safe_psql('postgres',
	qq{SELECT eventuate_send('small', CASE WHEN i % 5 = 0 THEN $large ELSE i::text END, 'k') FROM generate_series(1, 20) AS i});
my @ids = split /\n/, $ids;
wait_caught_up($node);
is(stat_of($node, 'state'), 'streaming', 'publishing goes on');
is_deeply([ sort map { $_->{value} =~ /"ID":"([^"]*)"/ } consume($kafka, 'small') ],
	[ sort map { $ids[ $_ - 1 ] } grep { $_ % 5 } 1 .. 20 ],
	'what is innocent arrives');
is(letters("message_id || ' ' || topic || ' ' || convert_from(key, 'UTF8') || ' ' || error"),
	join("\n", map { "$ids[$_ - 1] small k MSG_SIZE_TOO_LARGE" } 5, 10, 15, 20),
	'what is too large is a dead letter');
is($node->safe_psql('postgres', q[SELECT bool_and(convert_from(value, 'UTF8') LIKE '{"payload":"%"ID":"' || message_id || '"}}'
	AND lsn IS NOT NULL AND commit_time <= refused_at AND attempts = 2 AND reason <> '') FROM eventuate.dead_letter]),
	't', 'with all that is to know of it');
is(stat_of($node, 'dead_letters'), 4, 'the view counts them');

# Headers and times survive; bytes too.
$node->safe_psql('postgres', q{
	SELECT eventuate_produce('narrow', '\xff00'::bytea, '\xfe'::bytea, partition => 9, record_time => '2024-02-29 12:00:00.123+00',
		headers => '[{"key": "a", "value": "b"}, {"key": "a", "base64": "AP8="}, {"key": "n", "value": null}]')});
wait_caught_up($node);
is($node->safe_psql('postgres', q{SELECT topic, key, value, headers, partition, record_time AT TIME ZONE 'UTC', error FROM eventuate.dead_letter WHERE topic = 'narrow'}),
	q{narrow|\xfe|\xff00|[{"key": "a", "value": "b"}, {"key": "a", "base64": "AP8="}, {"key": "n", "value": null}]|9|2024-02-29 12:00:00.123|_UNKNOWN_PARTITION},
	'a record is kept as it is');

# Sent again: as it is (refused again), mended, one by one or by query.
$node->safe_psql('postgres', q{SELECT eventuate_retry(id) FROM eventuate.dead_letter WHERE topic = 'narrow'});
wait_caught_up($node);
is($node->safe_psql('postgres', q{SELECT count(*) FROM eventuate.dead_letter WHERE topic = 'narrow'}), 1,
	'nothing mended, it is refused again');
$node->safe_psql('postgres', q{SELECT eventuate_retry(id, topic => 'wide') FROM eventuate.dead_letter WHERE topic = 'narrow'});
$node->safe_psql('postgres', q{SELECT eventuate_retry(id, value => 'short', key => 'other') FROM eventuate.dead_letter ORDER BY id LIMIT 1});
$node->safe_psql('postgres', q{BEGIN; SELECT eventuate_retry(id), eventuate_discard(id + 1) FROM eventuate.dead_letter ORDER BY id LIMIT 1; ROLLBACK});
wait_caught_up($node);
my ($wide) = consume($kafka, 'wide');
is_deeply([ @$wide{qw(key value ts)}, $wide->{headers} ],
	[ "\xfe", "\xff\x00", 1709208000123, [ [ 'a', 'b' ], [ 'a', "\x00\xff" ], [ 'n', undef ] ] ],
	'sent to another topic, it arrives as it was');
is(scalar(grep { $_->{value} eq 'short' && $_->{key} eq 'other' } consume($kafka, 'small')), 1, 'mended, it arrives');
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 3, 'what is rolled back is still there');
$node->safe_psql('postgres', q{SELECT eventuate_discard(id) FROM eventuate.dead_letter});
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 0, 'discarded, it is gone');
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT eventuate_retry(1)");
like($err, qr/42704: +dead letter 1 does not exist/, 'what is not there cannot be sent');

# Malformed rows.
$node->safe_psql('postgres', q{
	INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('bad', 'small', '[]', 'p');
	SELECT eventuate_send('small', 'behind a bad row')});
wait_caught_up($node);
is($node->safe_psql('postgres', q{SELECT message_id, topic, convert_from(value, 'UTF8'), error, reason FROM eventuate.dead_letter}),
	q{bad|small|p||row "bad" of table "message" cannot be published: headers are not a JSON object}, 'a malformed row is one, too');
($status, $out, $err) = $node->psql('postgres', "SELECT eventuate_retry(id) FROM eventuate.dead_letter");
like($err, qr/is a row that never was a message/, 'which cannot be sent as it is');
$node->safe_psql('postgres', q{SELECT eventuate_discard(id) FROM eventuate.dead_letter});
$node->safe_psql('postgres', q{
	INSERT INTO eventuate.record (topic, headers) VALUES ('small', '[{"key": "a", "value": "b"}, 1]'), ('small', '[{"key": "a"}]'), ('small', '{"a": "b", "c": 1}')});
wait_caught_up($node);
is($node->safe_psql('postgres', q{SELECT headers FROM eventuate.dead_letter ORDER BY id}),
	qq([{"key": "a", "value": "b"}]\n\n[{"key": "a", "value": "b"}]), 'with the headers before the one that is none');
$node->safe_psql('postgres', q{SELECT eventuate_discard(id) FROM eventuate.dead_letter});

# Rows that are large in one way or another stop nobody: nor do small ones that
# are large as text.
$node->safe_psql('postgres', q{
	CREATE TABLE digits (topic text, value jsonb);
	SELECT eventuate_attach('digits', 'raw')});
$node->safe_psql('postgres', q{
	INSERT INTO digits VALUES ('small', ('[' || repeat('1e131071,', 9000) || '0]')::jsonb);
	INSERT INTO eventuate.record (topic, headers) VALUES ('small', jsonb_build_object('h', repeat(E'\\x01', 180000000)));
	INSERT INTO eventuate.message (id, destination, headers, payload) VALUES (repeat('x', 1000), 'small', '{' || repeat('"":"",', 3000000) || '"ID":"1"}', 'p');
	INSERT INTO eventuate.record (topic, headers) VALUES ('small', ('[' || repeat('0,', 1100000) || '0]')::jsonb);
	INSERT INTO eventuate.record (topic, headers) VALUES ('small', jsonb_build_object('h', repeat('x', 268435000)));
	SELECT eventuate_send('small', 'behind large rows')});
wait_caught_up($node);
is($node->safe_psql('postgres', q{SELECT topic, error, regexp_replace(reason, 'row .* cannot', 'row cannot') FROM eventuate.dead_letter ORDER BY id}), join("\n",
		'small||row cannot be published: a value is too large as text',
		'small||Broker: Message size too large (180000039 bytes, too many for a dead letter)',
		'small||row cannot be published: headers are too long',
		'small||row cannot be published: there are too many headers',
		'small||Broker: Message size too large (268435039 bytes, too many for a dead letter)'), 'nor does a row that is large');
$node->safe_psql('postgres', q{SELECT eventuate_discard(id) FROM eventuate.dead_letter});

# Privileges.
$node->safe_psql('postgres', 'CREATE ROLE app; CREATE ROLE steward; GRANT EXECUTE ON FUNCTION eventuate_discard TO steward');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE app; SELECT eventuate_discard(1)');
like($err, qr/permission denied for function eventuate_discard/, 'nobody may discard');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE steward; SELECT eventuate_discard(1)');
like($err, qr/dead letter 1 does not exist/, 'unless it is granted');

# A crash right behind: no message is lost, no letter comes twice.
$node->safe_psql('postgres', qq{SELECT eventuate_send('small', $large), eventuate_send('small', 'survivor')});
wait_for_query($node, 'postgres', 'SELECT count(*) FROM eventuate.dead_letter', 1);
$node->stop('immediate');
$node->start;
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 1, 'a crash stores no second letter');
$node->safe_psql('postgres', q{SELECT eventuate_discard(id) FROM eventuate.dead_letter});

# Many, in one transaction.
$node->safe_psql('postgres', qq{SELECT eventuate_send('small', $large) FROM generate_series(1, 3000)});
wait_caught_up($node);
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT message_id) FROM eventuate.dead_letter'), '3000|3000',
	'thousands of a transaction');

done_testing();
