# What Kafka refuses for good, and rows that cannot be messages, with
# eventuate.on_refusal = stop: publishing stops there, nothing is skipped, and goes on when the cause is mended.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka, conf => "eventuate.on_refusal = stop\neventuate.refusal_grace = 0\n");
# Its records are of the past: they are not to expire.
$kafka->create_topic('small', 1, 'max.message.bytes=2000');
$kafka->create_topic('narrow', 1);
$kafka->create_topic('rows', 1);
wait_for_state($node, 'postgres', 'streaming');

# A batch that is too large for its topic, of records that are not.
my $before = sending_from();
$node->safe_psql('postgres',
	q{SELECT eventuate_produce('small', 'record ' || i || repeat('.', 100), 'k', '{"h": "v"}', record_time => '2024-02-29 12:00:00+00') FROM generate_series(1, 100) AS i});
wait_caught_up($node);
my @batch = consume($kafka, 'small');
is_deeply([ map { $_->{value} =~ /^(record \d+)/ } @batch ],
	[ map { "record $_" } 1 .. 100 ], 'records of a refused batch are sent one by one');
is_deeply([ $batch[50]{headers}, $batch[50]{ts} ], [ [ [ 'h', 'v' ] ], 1709208000000 ],
	'as they are');

# A record that is too large for its topic, among others.
$kafka->create_topic('mixed', 1, 'max.message.bytes=2000');
$before = sending_from();
my @mixed = split /\n/, $node->safe_psql('postgres',
	q{SELECT eventuate_send('mixed', CASE WHEN i = 7 THEN (SELECT string_agg(md5(j::text), '') FROM generate_series(1, 100) AS j) ELSE i::text END)
	  FROM generate_series(1, 10) AS i});
wait_for_state($node, 'postgres', 'stopped');
like(stat_of($node, 'last_error'), qr/Kafka refuses message "$mixed[6]"/, 'the culprit is found in its batch');
stays_at($before, 'a batch with a culprit');
$kafka->java('kafka.admin.ConfigCommand', '--bootstrap-server', $kafka->brokers,
	'--alter', '--entity-type', 'topics', '--entity-name', 'mixed',
	'--add-config', 'max.message.bytes=100000');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
my %mixed = map { $_->{value} =~ /"ID":"([^"]*)"/; $1 => 1 } consume($kafka, 'mixed');
is(scalar(grep { $mixed{$_} } @mixed), 10, 'and everything arrives once it is mended');
my $small = scalar(consume($kafka, 'small'));

# A record that is too large for its topic.
$before = sending_from();
my $id = $node->safe_psql('postgres',
	q{SELECT eventuate_send('small', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i), 'k')});
wait_for_state($node, 'postgres', 'stopped');
my $error = stat_of($node, 'last_error');
like($error, qr/Kafka refuses message "$id" of transaction \d+ for topic "small": .*MSG_SIZE_TOO_LARGE/,
	'last_error names message, transaction, topic and reason');
send_message('small', "behind $_") foreach 1 .. 3;
stays_at($before, 'what Kafka refuses');
is(scalar(consume($kafka, 'small')), $small, 'nothing behind it is sent');

# Trying again changes nothing, by reload or by a restart of the server.
my $pid = publisher_pid($node);
$node->reload;
wait_until('another try', sub { publisher_pid($node) != $pid });
wait_for_state($node, 'postgres', 'stopped');
$node->restart;
wait_for_state($node, 'postgres', 'stopped');
is(stat_of($node, 'last_error'), $error, 'the same after a restart');
stays_at($before, 'after a restart what Kafka refuses');
is(scalar(grep { $_->{value} =~ /"ID":"$id"/ } consume($kafka, 'small')), 0, 'still it is not sent');

$kafka->java('kafka.admin.ConfigCommand', '--bootstrap-server', $kafka->brokers,
	'--alter', '--entity-type', 'topics', '--entity-name', 'small',
	'--add-config', 'max.message.bytes=100000');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
# What the broker was busy with when it refused may have arrived, and comes
# again: so what counts is where each is last.
my %seen;
my @small = map { /^behind/ ? $_ : 'large' } payloads_of(consume($kafka, 'small', from => $small));
is_deeply([ reverse grep { !$seen{$_}++ } reverse @small ], [ 'large', 'behind 1', 'behind 2', 'behind 3' ],
	'once the topic allows it, it is sent with all that was behind it');

# A partition that the topic has not; it may come.  Others of the same
# transaction wait with it.
$before = sending_from();
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT eventuate_produce('narrow', 'first', 'k', partition => 99);
	SELECT eventuate_produce('narrow', 'second', 'k', partition => 0);
	COMMIT;});
wait_for_state($node, 'postgres', 'stopped');
like(stat_of($node, 'last_error'), qr/Kafka refuses message "\w+-\w+" of transaction \d+ for topic "narrow": .*UNKNOWN_PARTITION/,
	'a partition that is not there is refused');
stays_at($before, 'a partition that is not there');
$kafka->java('org.apache.kafka.tools.TopicCommand', '--bootstrap-server', $kafka->brokers,
	'--alter', '--topic', 'narrow', '--partitions', 100);
$node->reload;
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is_deeply([ payloads_of(consume($kafka, 'narrow', partition => 99)) ], ['first'],
	'once the topic has the partition, a reload is enough');
my @second = payloads_of(consume($kafka, 'narrow', partition => 0));
is($second[-1], 'second', 'the rest of the transaction arrives');

# Rows that somebody else has written and that are no messages.
foreach my $case (
	[ 'an array', 'rows', '[]', qr/headers/ ],
	[ 'no JSON', 'rows', '{"ID":', qr/headers/ ],
	[ 'no id', 'rows', '{"PARTITION_ID":"k"}', qr/headers have no ID/ ],
	[ 'no topic', 'not a topic!', '{"ID":"1-1"}', qr/topic/ ])
{
	my ($what, $topic, $headers, $reason) = @$case;

	send_message('rows', "$what: before");
	wait_caught_up($node);
	$before = sending_from();
	$node->safe_psql('postgres', qq{
		BEGIN;
		INSERT INTO eventuate.message (id, destination, headers, payload)
		VALUES ('$what', '$topic', '$headers', '$what: mended');
		SELECT eventuate_send('rows', '$what: with it', 'k');
		COMMIT;});
	send_message('rows', "$what: after");
	wait_for_state($node, 'postgres', 'stopped');
	like(stat_of($node, 'last_error'), qr/^row "$what" of table "message" cannot be published: .*$reason/,
		"$what: last_error names row, table and reason");
	stays_at($before, $what);
	is((payloads_of(consume($kafka, 'rows')))[-1], "$what: before", "$what: nothing behind it is sent");

	# WAL keeps the row as it was, so mending the row alone is not enough.
	$node->safe_psql('postgres',
		qq{UPDATE eventuate.message SET destination = 'rows', headers = '{"PARTITION_ID":"k","ID":"1-1"}' WHERE id = '$what'});
	$pid = publisher_pid($node);
	$node->safe_psql('postgres', 'SELECT eventuate_resume()');
	wait_until('another try', sub { publisher_pid($node) != $pid });
	wait_for_state($node, 'postgres', 'stopped');

	# What a person can do: mend the row (or delete it) and let the slot go.
	# Everything is then published from the table, the newest messages once
	# more.  The row's id decides where among the others it goes.
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate');
	$node->safe_psql('postgres', 'SELECT eventuate_resume()');
	wait_for_state($node, 'postgres', 'streaming');
	wait_caught_up($node);
	my @rows = payloads_of(consume($kafka, 'rows'));
	is(scalar(grep { $_ eq "$what: mended" } @rows), 1, "$what: mended, it is sent");
	is(scalar(grep { $_ eq "$what: with it" } @rows), 1, "$what: and the rest of its transaction");
	is(scalar(grep { $_ eq "$what: after" } @rows), 1, "$what: and what was behind that");
}

done_testing();

# A position that a message which is sent from now on lies behind.
sub sending_from { return $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'); }

# The slot may not pass what is not published; not at a checkpoint either.
sub stays_at
{
	my ($lsn, $what) = @_;
	$node->safe_psql('postgres', 'CHECKPOINT');
	is($node->safe_psql('postgres',
		"SELECT bool_and(confirmed_flush_lsn <= '$lsn' AND published_lsn <= '$lsn') FROM pg_replication_slots NATURAL JOIN pg_stat_eventuate"),
		't', "the slot does not pass $what");
}

sub send_message
{
	my ($topic, $payload) = @_;
	$node->safe_psql('postgres', "SELECT eventuate_send('$topic', '$payload', 'k')");
}
