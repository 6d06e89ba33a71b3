# What is committed reaches Kafka, as it should look, in order; nothing else.

use strict;
use warnings;

use lib 't';
use Eventuate;

foreach my $kafka (mock_kafka(), real_kafka())
{
	my ($kind) = ref($kafka) =~ /(\w+)$/;
	my $node = new_node("main_$kind", kafka => $kafka);
	my @records;

	wait_for_state($node, 'postgres', 'streaming');

	# An Eventuate message, with and without a key.
	my $id = $node->safe_psql('postgres',
		q{SELECT eventuate_send('orders', '{"total": 1}', 'customer-1', '{"event-type": "OrderCreated"}')});
	like($id, qr/^[0-9a-f]{16}-[0-9a-f]{16}$/, "$kind: a message has an id");
	my $keyless = $node->safe_psql('postgres',
		q{SELECT eventuate_send('plain', E'line\n"quoted" \\\\ \u00e9')});
	wait_caught_up($node);

	@records = consume($kafka, 'orders');
	is(scalar @records, 1, "$kind: one record of one message");
	is($records[0]{key}, 'customer-1', "$kind: its key is that of the message");
	is_deeply($records[0]{headers}, [], "$kind: it has no Kafka headers");
	my $date = qr/\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d GMT/;
	like(
		$records[0]{value},
		qr/^\Q{"payload":"{\"total\": 1}","headers":{"event-type":"OrderCreated","PARTITION_ID":"customer-1","DATE":"\E$date\Q","DESTINATION":"orders","ID":"$id"}}\E$/,
		"$kind: its value is the envelope");

	@records = consume($kafka, 'plain');
	is($records[0]{key}, $keyless, "$kind: without a key, the id is the key");
	like(
		$records[0]{value},
		qr/^\Q{"payload":"line\n\"quoted\" \\ \E\xc3\xa9\Q","headers":{"DATE":"\E/,
		"$kind: the payload is escaped");

	# Rolled back: a transaction, a savepoint.
	$node->safe_psql(
		'postgres', q{
		BEGIN;
		SELECT eventuate_send('undone', 'transaction');
		ROLLBACK;
		BEGIN;
		SELECT eventuate_send('undone', 'first', 'k');
		SAVEPOINT s;
		SELECT eventuate_send('undone', 'savepoint', 'k');
		ROLLBACK TO s;
		SELECT eventuate_send('undone', 'second', 'k');
		COMMIT;});
	wait_caught_up($node);
	is_deeply(
		[ map { $_->{value} =~ /"payload":"(\w+)"/ } consume($kafka, 'undone') ],
		[qw(first second)],
		"$kind: what is rolled back is not published");

	# A plain record: every byte counts.
	$node->safe_psql(
		'postgres', q{
		SELECT eventuate_produce('raw', '\x000a0d22ff'::bytea, '\x00fe'::bytea,
			headers => '{"a": "b,=c", "d": ""}', partition => 2,
			record_time => '2024-02-29 12:00:00.123+00');
		SELECT eventuate_produce('raw', NULL, 'gone', partition => 2);
		SELECT eventuate_produce('raw', '', partition => 2);});
	wait_caught_up($node);
	@records = consume($kafka, 'raw');
	is_deeply(
		[ map { [ @$_{qw(partition key value headers)} ] } @records ],
		[
			[ 2, "\x00\xfe", "\x00\n\r\"\xff", [ [ 'a', 'b,=c' ], [ 'd', '' ] ] ],
			[ 2, 'gone', undef, [] ],
			[ 2, undef, '', [] ]
		],
		"$kind: plain records arrive byte for byte");
	is($records[0]{ts}, 1709208000123, "$kind: with their own timestamp");

	# Order: 2000 messages of 10 keys in 100 transactions.
	$node->safe_psql(
		'postgres', q{
		DO $$
		BEGIN
			FOR t IN 0 .. 99 LOOP
				PERFORM eventuate_send('ordered', (t * 20 + i)::text, 'key ' || i % 10)
				FROM generate_series(1, 20) AS i;
				COMMIT;
			END LOOP;
		END
		$$;});
	wait_caught_up($node);
	@records = consume($kafka, 'ordered');
	is(scalar @records, 2000, "$kind: every message is published once");
	my %last;
	my @wrong = grep {
		my ($number) = $_->{value} =~ /"payload":"(\d+)"/;
		my $before = $last{ $_->{key} };
		$last{ $_->{key} } = $number;
		defined $before && $before >= $number;
	} @records;
	is(scalar @wrong, 0, "$kind: the messages of a key are in order");

	is(stat_of($node, 'messages'), 2007, "$kind: the view counts messages");
	is(stat_of($node, 'in_flight'), 0, "$kind: none is on its way any more");
	$node->stop;
}

done_testing();
