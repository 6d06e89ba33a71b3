# Rows of tables for Debezium's outbox event router: what we make of them is
# what Debezium makes of them, byte for byte, in the same partitions.  Both read
# the same rows, and publish to a Kafka each.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $theirs = real_kafka();
my $ours = mock_kafka();
my $node = new_node(
	'main',
	kafka => $ours,
	conf => "listen_addresses = '127.0.0.1'\nmax_connections = 60\n");

$node->safe_psql('postgres', q{
	CREATE TYPE mood AS ENUM ('sad', 'happy');
	CREATE DOMAIN milliseconds AS timestamp(3);});

# What becomes of the rows of a table in
#	topics			those of the records
# with
#	attach			further arguments of eventuate_attach()
#	router			properties of the event router
#	properties		others of the connector's
#	timed			whether the records' timestamps are the rows'
my %case = (
	defaults => {
		table => 'id uuid PRIMARY KEY, aggregatetype varchar(255), aggregateid varchar(255), type varchar(255), payload text',
		rows => q{
			('406c07f3-26f0-4eea-a50c-109940064b8f', 'order', '1', 'created', '{"a":  1}'),
			('406c07f3-26f0-4eea-a50c-109940064b90', 'order', '2', NULL, 'é " \ ' || chr(1) || chr(128512)),
			('406c07f3-26f0-4eea-a50c-109940064b91', 'order', '1', 'emptied', ''),
			('406c07f3-26f0-4eea-a50c-109940064b92', 'order', '1', 'deleted', NULL),
			('406c07f3-26f0-4eea-a50c-109940064b93', 'order', 'é', 'blank', '  '),
			('406c07f3-26f0-4eea-a50c-109940064b94', 'order', '', 'with an empty key', 'x'),
			('406c07f3-26f0-4eea-a50c-109940064b95', '', '3', 'without a type', 'x')},
		topics => [ 'outbox.event.order', 'outbox.event.' ],
	},
	tombstones => {
		table => 'id int PRIMARY KEY, aggregatetype text, aggregateid bigint, type text, payload text',
		attach => 'tombstone_on_empty => true, topic => $$${routedByValue}.events.${routedByValue}$$',
		router => {
			'route.topic.replacement' => '${routedByValue}.events.${routedByValue}',
			'route.tombstone.on.empty.payload' => 'true'
		},
		rows => q{(1, 't', 5000000000, '', ''), (2, 't', NULL, '', E' \n\t'), (3, 't', -1, '', NULL), (4, 't', 1, '', ' x ')},
		topics => ['t.events.t']
	},
	bytes => {
		table => 'id text PRIMARY KEY, aggregatetype text, aggregateid uuid, type text, payload bytea',
		attach => 'tombstone_on_empty => true',
		router => { 'route.tombstone.on.empty.payload' => 'true' },
		properties => { 'value.converter' => 'io.debezium.converters.BinaryDataConverter' },
		rows => q{
			('a', 'b', '406c07f3-26f0-4eea-a50c-109940064b8f', '', '\x00ff10'), ('b', 'b', NULL, '', ''),
			('c', 'b', '406c07f3-26f0-4eea-a50c-109940064b8e', '', NULL), ('', 'b', NULL, '', ' ')},
		topics => ['outbox.event.b']
	},
	renamed => {
		table => q{
			event int PRIMARY KEY, kind text, "Key" bool, "at" timestamp, part int4, payload jsonb, type mood, i2 int2, i8 int8,
			n2 numeric(10,2), n12 numeric(20,12), n0 numeric(5,0), b bytea, json json, jsonb jsonb, u uuid, c char(5),
			d date, t0 timestamp(0), t3 milliseconds, t6 timestamp, z0 timestamptz(0), z3 timestamptz(3), z6 timestamptz, ip inet, net cidr},
		attach => q{
			columns => '{"id": "event", "topic": "kind", "key": "Key", "timestamp": "at"}', topic => 'renamed',
			placements => 'type:header:eventType, i2:header, event:header:again, part:partition,i8:header,n2:header,n12:header,n0:header,'
				'b:header,json:header,jsonb:header,u:header,c:header,d:header,t0:header,t3:header,t6:header,'
				'z0:header,z3:header,z6:header,ip:header,net:header,Key:header'},
		router => {
			'table.field.event.id' => 'event',
			'route.by.field' => 'kind',
			'table.field.event.key' => 'Key',
			'table.field.event.timestamp' => 'at',
			'route.topic.replacement' => 'renamed',
			'table.fields.additional.placement' =>
			  'type:header:eventType, i2:header, event:header:again, part:partition,i8:header,n2:header,n12:header,n0:header,'
			  . 'b:header,json:header,jsonb:header,u:header,c:header,d:header,t0:header,t3:header,t6:header,'
			  . 'z0:header,z3:header,z6:header,ip:header,net:header,Key:header'
		},
		timed => 1,
		rows => q{
			(1, 'k', true, '2020-04-07 01:02:03.4567', 3, '{"bb": 1.50,"a":[1, null]}', 'happy', 5, 5000000000,
			 1.5, 0.000000000001, 12, '\x00ff', ' {"a":1}', '{"b":1}', '406c07f3-26f0-4eea-a50c-109940064b8f', 'ab',
			 '2020-04-07', '2020-04-07 01:02:03', '2020-04-07 01:02:03.456', '2020-04-07 01:02:03.456789',
			 '2020-04-07 01:02:03+02', '2020-04-07 01:02:03.45+02', '2020-04-07 01:02:03.4+02', '10.0.0.1', '10.0.0.0/8'),
			(2, 'k', false, '2020-04-07 01:02:03.4567', 0, '"x"', 'sad', -5, -5000000000,
			 -0.05, 0, -1, '', '[]', '[]', NULL, '',
			 '1900-01-01', '1900-01-01', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999',
			 '12020-01-01 00:00:00+00', '0044-03-15 00:00:00+00 BC', '0001-01-01 00:00:00.000001+00 BC', '::1/64', '::/0'),
			(3, 'k', NULL, '2020-04-07 01:02:03', 3, NULL, NULL, NULL, NULL, -123.45, 0.0000001, NULL, NULL, NULL, NULL, NULL, NULL,
			 '0001-01-01 BC', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
			(4, 'k', true, '2020-04-07 01:02:03', NULL, '12', NULL, NULL, NULL, 0.00, 0.0000012, NULL, NULL, NULL, NULL, NULL, NULL,
			 '12020-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)},
		topics => ['renamed']
	},
	expanded => {
		table => 'payload jsonb, id serial PRIMARY KEY, aggregatetype text DEFAULT $$json$$, aggregateid text DEFAULT $$1$$, type text',
		attach => 'expand_json => true',
		router => { 'table.expand.json.payload' => 'true' },
		properties => {
			'value.converter' => 'org.apache.kafka.connect.json.JsonConverter',
			'value.converter.schemas.enable' => 'false'
		},
		# Strings and numbers, whole and not; null and empty ones; lists.
		rows => join(',', map { s/'/''/gr } map { "(\$\$$_\$\$)" } (
			'{"bb": 1, "a": "x é \u0001\t\"\\\\ \u2028 / <", "aaa": true, "n": null, "none": {}, "empty": [], "\ud83d\ude00\"": "a\ud83d\ude00b"}',
			'{}', '[]', '"scalar \ud83d\ude00"', '17', 'null',
			'{"a": 1.0, "b": 1.50, "c": 1e3, "e": 12345678901, "g": 0.00001, "h": 2147483648, "i": -2147483648, "j": 123456789012345678901.5}',
			'{"a": [1, 2, 3]}', '{"a": [1, null, 3]}', '{"a": [null]}', '{"a": [1, "x"]}', '{"a": [1, 1.5]}', '{"a": [1, 3000000000]}',
			'{"a": [true, false]}', '{"a": ["x", null, "\ud83d\ude00"]}', '{"a": [[1], [2]]}', '{"a": [[1], []]}', '{"a": [[], [1]]}',
			'{"a": [{"x": 1}, {"x": 2}]}', '{"a": [{"x": 1}, null]}', '{"a": [{}, {"x": 1}]}', '{"a": [{"x": null}, {"x": 1}]}',
			'{"a": [{"x": []}, {"x": [1]}]}', '{"a": [[{"x": 1}], [{"y": 2}]]}', '{"a": {"b": {"c": [{"d": [1]}]}}}',
			'{"": 1, "a": 2}', '{"": null, "a.b": 2, "c d": {"e f": 3}}'))
		  . ', (NULL)',
		topics => ['outbox.event.json']
	},
	text => {
		table => 'payload text, id serial PRIMARY KEY, aggregatetype text DEFAULT $$text$$, aggregateid text DEFAULT $$1$$, type text',
		attach => 'expand_json => true, tombstone_on_empty => true',
		router => { 'table.expand.json.payload' => 'true', 'route.tombstone.on.empty.payload' => 'true' },
		properties => {
			'value.converter' => 'org.apache.kafka.connect.json.JsonConverter',
			'value.converter.schemas.enable' => 'false'
		},
		# What jsonb would not hold like this: what is no JSON, too.
		rows => join(',', map { "(\$\$$_\$\$)" } (
			'', ' ', '{}', '[]', ' {"a":1}', '{"a":1} and more', '{"a":1}}', '{"a":1', '{', '[', 'text é "', "{'a':1}", '{"a":1,}',
			'{"a":NaN}', '{"a":01}', '{"a" : 1 , "b" : [ 1 ,2 ] , "c":-0}', '{"a":1,"b":2,"a":3}', '{"a":1,"b":2,"a":null}', '{"a":null,"b":2,"a":1}',
			'{"a":-0.0,"b":1e400,"c":1E22,"d":1.0e-7,"e":9223372036854775807,"f":-9223372036854775808}', '{"a":[{"b":1,"b":2}]}'))
		  . ', (NULL)',
		topics => ['outbox.event.text']
	},
);

my @connectors;
foreach my $name (sort keys %case)
{
	my $case = $case{$name};
	my %router = %{ $case->{router} || {} };

	$node->safe_psql('postgres', qq{
		CREATE TABLE $name ($case->{table});
		SELECT eventuate_attach('$name', 'debezium'@{[ map { ", $_" } $case->{attach} || () ]})});
	push @connectors,
	  Eventuate::Connect::router(
		$node, 'postgres', "public.$name",
		'name' => $name,
		'extended.headers.enabled' => 'false',
		%{ $case->{properties} || {} },
		map { ("transforms.outbox.$_" => $router{$_}) } keys %router);
}
my $connect = kafka_connect($theirs, @connectors);
$connect->wait_until_streaming($node);
wait_for_state($node, 'postgres', 'streaming');

# Only what is inserted counts.
$node->safe_psql('postgres', "INSERT INTO $_ VALUES $case{$_}{rows}; UPDATE $_ SET payload = NULL; DELETE FROM $_")
  foreach sort keys %case;
wait_caught_up($node);

# Without a key any partition will do.
sub records
{
	my ($kafka, $case, $topic, $count) = @_;
	my @all = map {
		[
			defined $_->{key} ? "partition $_->{partition}" : "of $_->{headers}[0][1]",
			$_->{key}, $_->{value}, $_->{headers}, $case->{timed} ? $_->{ts} : ()
		]
	} $count ? wait_for_records($kafka, $topic, $count) : consume($kafka, $topic);
	return sort { $a->[0] cmp $b->[0] } @all;
}

foreach my $name (sort keys %case)
{
	foreach my $topic (@{ $case{$name}{topics} })
	{
		my @ours = records($ours, $case{$name}, $topic);
		my @theirs = records($theirs, $case{$name}, $topic, scalar @ours);
		ok(@ours > 0, "$name: there are records in $topic");
		is_deeply(\@ours, \@theirs, "$name: they are the same");
	}
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 0, 'all was published');

done_testing();
