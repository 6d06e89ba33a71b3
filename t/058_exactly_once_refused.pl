# Dead letters with eventuate.exactly_once: a refusal breaks a transaction of
# Kafka's, and all else that was in it arrives once, in order.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(conf => "auto.create.topics.enable=false\n");
my $node = new_node('main', kafka => $kafka, restart_after_crash => 1,
	properties => 'topic.metadata.propagation.max.ms=100 topic.metadata.refresh.interval.ms=500',
	conf => "eventuate.exactly_once = on\neventuate.refusal_grace = 2s\n");
$kafka->create_topic('small', 1, 'max.message.bytes=2000');
wait_for_state($node, 'postgres', 'streaming');

my $large = q{(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i)};

# Too large for the topic; malformed; and many that are neither.
$node->safe_psql('postgres', qq{
	SELECT eventuate_send('small', CASE WHEN i % 7 = 0 THEN $large ELSE i::text END, 'k') FROM generate_series(1, 20) AS i;
	INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('bad', 'small', '[]', 'p');
	SELECT eventuate_send('small', i::text, 'k') FROM generate_series(21, 500) AS i});
wait_caught_up($node);
is_deeply([ numbers('small') ], [ grep { $_ > 20 || $_ % 7 } 1 .. 500 ], 'what is innocent arrives once, in order');
is($node->safe_psql('postgres', q{SELECT string_agg(coalesce(error, message_id), ' ' ORDER BY lsn, sequence_number) FROM eventuate.dead_letter}),
	'MSG_SIZE_TOO_LARGE MSG_SIZE_TOO_LARGE bad', 'the others are dead letters');

# A crash right behind a letter.
$node->safe_psql('postgres', qq{SELECT eventuate_send('small', $large, 'k'), eventuate_send('small', '501', 'k')});
wait_for_query($node, 'postgres', 'SELECT count(*) FROM eventuate.dead_letter', 4);
$node->stop('immediate');
$node->start;
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is((numbers('small'))[-2], 500, 'a crash repeats nothing');
is((numbers('small'))[-1], 501, 'and loses nothing');
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 4, 'nor is there a second letter');

$node->safe_psql('postgres', qq{
	SELECT eventuate_produce('small', 'no such partition', 'k', partition => 9);
	SELECT eventuate_send('small', '502', 'k')});
wait_caught_up($node);
is((numbers('small'))[-1], 502, 'what librdkafka refuses breaks nothing');

$kafka->alter('--entity-type', 'topics', '--entity-name', 'small', '--add-config', 'max.message.bytes=100000');
$node->safe_psql('postgres', q{SELECT eventuate_retry(id, value => '{"payload":"503"}') FROM eventuate.dead_letter WHERE error = 'MSG_SIZE_TOO_LARGE' ORDER BY id LIMIT 1});
wait_caught_up($node);
is((numbers('small'))[-1], 503, 'a letter is sent again');

# A refusal while many more are being sent, of which librdkafka takes none then.
# A publisher that has been refused nothing sends as much as there is room for.
$kafka->create_topic('stream', 1);
$node->restart;
wait_for_state($node, 'postgres', 'streaming');
my $letters = $node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter');
$node->safe_psql('postgres', qq{
	SELECT CASE i WHEN 2000 THEN eventuate_send('small', repeat($large, 40), 'k') ELSE eventuate_send('stream', i::text, 'k') END
	FROM generate_series(1, 50000) AS i});
wait_caught_up($node);
is_deeply([ numbers('stream') ], [ grep { $_ != 2000 } 1 .. 50000 ], 'whoever is sent meanwhile arrives, in order');
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter') - $letters, 1, 'and is no dead letter');

# A topic that Kafka does not know yet.
$node->safe_psql('postgres', q{ALTER SYSTEM SET eventuate.refusal_grace = '1h'});
$node->reload;
$node->safe_psql('postgres', q{SELECT eventuate_send('late', '1', 'k'), eventuate_send('small', '504', 'k')});
wait_for_query($node, 'postgres', q{SELECT last_error LIKE '%does not know topic "late"%' FROM pg_stat_eventuate});
$kafka->create_topic('late', 1);
wait_caught_up($node);
is_deeply([ numbers('late'), (numbers('small'))[-1] ], [ 1, 504 ], 'what waits for a topic arrives when the topic comes');
wait_for_query($node, 'postgres', 'SELECT last_error IS NULL FROM pg_stat_eventuate');

done_testing();

sub numbers
{
	return map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, $_[0]);
}
