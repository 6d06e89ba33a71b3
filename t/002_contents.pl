# What is in a record: byte for byte what Eventuate's CDC service would have
# written, or what was given to eventuate_produce().

use strict;
use warnings;

use lib 't';
use Eventuate;

# Strings here are bytes, UTF-8 where they are text.
my $mock = mock_kafka();
my $astral = "\xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf";
my $separators = "\xe2\x80\xa8\xe2\x80\xa9\xc2\x85\x7f";
my $controls = join '', map { chr } 1 .. 31;

# The bytes as an SQL expression of type text.
sub sql_text
{
	return defined $_[0]
	  ? "convert_from('\\x" . unpack('H*', $_[0]) . "', 'UTF8')"
	  : 'NULL';
}

# A JSON string as Jackson writes it.
my %short = (8 => 'b', 9 => 't', 10 => 'n', 12 => 'f', 13 => 'r');

sub jackson
{
	my ($text) = @_;
	$text =~ s/(["\\])/\\$1/g;
	$text =~ s{([\x00-\x1f])}{$short{ord $1} ? "\\$short{ord $1}" : sprintf('\\u%04X', ord $1)}ge;
	return qq{"$text"};
}

sub envelope { return '{"payload":' . jackson($_[0]) . ",\"headers\":$_[1]}"; }

# What is too long to be shown when it differs.
sub same
{
	my ($is, $expected, $name) = @_;
	return is($is, $expected, $name) if length $expected < 2000;
	return ok(defined $is && $is eq $expected, $name);
}

# ---------------------------------------------------------------------
# Payloads: through eventuate_send() and as a producer inserts them
# ---------------------------------------------------------------------
srand(1);
my $random = join '', map { chr(33 + int rand 94) } 1 .. 300_000;
my @payloads = (
	[ 'one byte', 'x' ],
	[ 'nothing', '' ],
	[ 'every control character', $controls ],
	(map { [ "control character $_", 'a' . chr($_) . 'b' ] } 1 .. 31),
	[ 'quotes and backslashes', q{"\\"\\\\"' \\n \\u0041 / <>&} ],
	[ 'astral characters', $astral ],
	[ 'U+2028, U+2029, U+0085, U+007F', $separators ],
	[ 'JSON', '{"customerId":101,"orderId":102}' ],
	[ 'what is no JSON', '{"a": [1,' ],
	[ '10 kB that compress', '{"compress": "' . 'me' x 5000 . '"}' ],
	[ '300 kB that do not', $random ],
	[ '300 kB of characters to escape', qq{"\\\n\x01} x 75_000 ]);

sub check_payloads
{
	my ($kind, $kafka, $node, $storage) = @_;
	my $topic = "payloads-$storage";
	my $sql = "ALTER TABLE eventuate.message ALTER payload SET STORAGE $storage;\n";

	foreach my $i (0 .. $#payloads)
	{
		my $payload = sql_text($payloads[$i][1]);
		$sql .= "SELECT eventuate_send('$topic', $payload, '$i');\n"
		  . "INSERT INTO eventuate.message (id, destination, headers, payload)
			 VALUES ('$storage $i', '$topic', '{\"ID\":\"id-$i\",\"PARTITION_ID\":\"$i\"}', $payload);\n";
	}
	my $toast = q{(SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'eventuate.message'::regclass)};
	my $before = $node->safe_psql('postgres', "SELECT $toast");
	$node->safe_psql('postgres', $sql);
	cmp_ok($node->safe_psql('postgres', "SELECT $toast - $before"),
		'>', 600_000, "$kind, $storage: long payloads are TOASTed");
	wait_caught_up($node);

	my %values;
	push @{ $values{ $_->{key} } }, $_->{value} foreach consume($kafka, $topic);
	foreach my $i (0 .. $#payloads)
	{
		my ($name, $payload) = @{ $payloads[$i] };
		my $sent = $values{$i}[0] // '';
		$sent =~ s/"DATE":.*"ID":"[0-9a-f-]{33}"\}\}$/.../;
		same($sent, substr(envelope($payload, ''), 0, -1) . qq({"PARTITION_ID":"$i",...),
			"$kind, $storage: $name, sent");
		same($values{$i}[1], envelope($payload, qq({"ID":"id-$i","PARTITION_ID":"$i"})),
			"$kind, $storage: $name, inserted");
	}
	return;
}

# ---------------------------------------------------------------------
# Headers
# ---------------------------------------------------------------------

# The headers column; the record's headers, if they differ; its key.
my $customer = 'io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer';
my $worked =
  qq({"PARTITION_ID":"101","event-aggregate-type":"$customer","DATE":"Tue, 14 Nov 2023 22:13:20 GMT",)
  . qq("event-aggregate-id":"101","event-type":"${customer}CreditReservedEvent",)
  . qq("DESTINATION":"$customer","ID":"0000018bcfe5687b-0242ac1200020000"});
my @headers = (
	[ '{"ID":"1"}', undef, '1' ],
	[ '{"ID":"1","PARTITION_ID":"2"}', undef, '2' ],
	[ '{"PARTITION_ID":"","ID":"1"}', undef, '' ],
	[ '{"PARTITION_ID":null,"ID":"1"}', '{"ID":"1"}', '1' ],
	[ '{"b":"","ID":"1","a":"","id":"2","partition_id":"3","":"4"}', undef, '1' ],
	[ qq(\n{\t"a" : "b c" ,\r"ID":"1" } ), '{"a":"b c","ID":"1"}', '1' ],
	[ '{"a":"1","ID":"2","a":"3"}', '{"a":"3","ID":"2"}', '2' ],
	[ '{"ID":"1","a":"","ID":"2"}', '{"ID":"2","a":""}', '2' ],
	[ '{"a":null,"ID":"1","b":null,"c":"null"}', '{"ID":"1","c":"null"}', '1' ],
	[ '{"a":"\u00e9\u00E9","ID":"1"}', qq({"a":"\xc3\xa9\xc3\xa9","ID":"1"}), '1' ],
	[ '{"a":"\ud83d\ude00","ID":"1"}', qq({"a":"\xf0\x9f\x98\x80","ID":"1"}), '1' ],
	[ '{"a":"\/\u002f/","ID":"1"}', '{"a":"///","ID":"1"}', '1' ],
	[ '{"a":"\u000b\u001f\u000B\u001F","ID":"1"}', '{"a":"\u000B\u001F\u000B\u001F","ID":"1"}', '1' ],
	[ '{"a":"\u0008\u0009\u000a\u000c\u000d\u0022\u005c","ID":"1"}', '{"a":"\b\t\n\f\r\"\\\\","ID":"1"}', '1' ],
	[ '{"a":"\u2028\u0085\u007f<>&\'","ID":"1"}', qq({"a":"\xe2\x80\xa8\xc2\x85\x7f<>&'","ID":"1"}), '1' ],
	[ '{"ID":"a\"\\\\\u00e9","c":"d"}', qq({"ID":"a\\"\\\\\xc3\xa9","c":"d"}), qq(a"\\\xc3\xa9) ],
	[ '{"ID":"1","PARTITION_ID":"' . $astral . '"}', undef, $astral ],
	(map { [ qq({"h":${\ jackson($_)},"ID":"1"}), undef, '1' ] }
		  ($controls, $astral, $separators, $payloads[34][1])),
	[ '{"h":"' . 'x' x 20_000 . '","ID":"1"}', undef, '1' ],
	[ $worked, undef, '101' ]);

sub check_headers
{
	my ($kind, $kafka, $node) = @_;

	$kafka->create_topic('headers', 1);
	$node->safe_psql('postgres', join "\n", map {
		"INSERT INTO eventuate.message (id, destination, headers, payload)
		 VALUES ('headers $_', 'headers', ${\ sql_text($headers[$_][0])}, 'p');" } 0 .. $#headers);
	wait_caught_up($node);
	my @records = consume($kafka, 'headers');
	is(scalar @records, scalar @headers, "$kind: every row with headers is a record");
	foreach my $i (0 .. $#headers)
	{
		my ($column, $json, $key) = @{ $headers[$i] };
		my $name = substr($column, 0, 60) =~ s/[\x00-\x1f\x7f-\xff]/?/gr;
		same($records[$i]{value}, envelope('p', $json // $column), "$kind: headers $name");
		is($records[$i]{key}, $key, "$kind: its key");
		is_deeply($records[$i]{headers}, [], "$kind: no headers of Kafka's");
	}

	# Given to eventuate_send(): in jsonb's order, then Tram's.
	my @values = ('', $controls, q{"\\"\\\\"'}, $astral, $separators, 'x' x 20_000, $random);
	$node->safe_psql('postgres', join "\n", map {
		"SELECT eventuate_send('given', 'p', '$_', jsonb_build_object('h', ${\ sql_text($values[$_])}, 'z', 'z', 'aa', 'b'));"
	} 0 .. $#values);
	wait_caught_up($node);
	my %value = map { $_->{key} => $_->{value} } consume($kafka, 'given');
	foreach my $i (0 .. $#values)
	{
		my $sent = ($value{$i} // '') =~
		  s/"DATE":"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d GMT","DESTINATION":"given","ID":"[0-9a-f-]{33}"\}\}$/.../r;
		same($sent, qq({"payload":"p","headers":{"h":${\ jackson($values[$i])},"z":"z","aa":"b","PARTITION_ID":"$i",...),
			"$kind: header " . substr($values[$i], 0, 20) =~ s/[\x00-\x1f\x7f-\xff]/?/gr . ' of eventuate_send()');
	}
	return;
}

# ---------------------------------------------------------------------
# Rows as the generations of Tram's producers insert them
# ---------------------------------------------------------------------
sub check_producers
{
	my ($kind, $kafka, $node) = @_;
	my $time = 'ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000)';
	my $five = 'INSERT INTO eventuate.message(id, destination, headers, payload, creation_time';
	my $payload = '{"customerId":101,"orderId":102}';
	my $n = 0;
	my $row = sub {
		my ($name) = @_;
		$n++;
		return "'0000018bcfe5687b-024200000000000$n', 'tram', '{\"PARTITION_ID\":\"k\",\"ID\":\"$name\"}', '$payload'";
	};

	$kafka->create_topic($customer, 2);
	$node->safe_psql('postgres', qq{
		PREPARE tram_0_24 AS $five) VALUES (\$1, \$2, \$3, \$4, $time);
		PREPARE tram_0_25 AS $five) VALUES (\$1, \$2, \$3::text, \$4::text, $time);
		PREPARE tram_0_27 AS $five, published) VALUES (\$1, \$2, \$3::text, \$4::text, $time, \$5);
		PREPARE tram_0_31 AS $five, published, message_partition) VALUES (\$1, \$2, \$3::text, \$4::text, $time, \$5, \$6);
		EXECUTE tram_0_24('0000018bcfe5687b-0242ac1200020000', '$customer', '$worked', '$payload');
		BEGIN;
		EXECUTE tram_0_24(${\ $row->('0.24') });
		EXECUTE tram_0_25(${\ $row->('0.25') });
		EXECUTE tram_0_27(${\ $row->('0.27') }, 0);
		EXECUTE tram_0_27(${\ $row->('published') }, 1);
		EXECUTE tram_0_31(${\ $row->('0.31') }, 0, NULL);
		EXECUTE tram_0_31(${\ $row->('sharded') }, 0, 3);
		EXECUTE tram_0_31(${\ $row->('published, sharded') }, 1, 3);
		EXECUTE tram_0_27(${\ $row->('null') }, NULL);
		COMMIT;
		COPY eventuate.message (id, destination, headers, payload, creation_time, published) FROM stdin;
copied 1\ttram\t{"PARTITION_ID":"k","ID":"copy 1"}\t$payload\t1700000000000\t0
copied 2\ttram\t{"PARTITION_ID":"k","ID":"copy, published"}\t$payload\t1700000000000\t1
copied 3\ttram\t{"PARTITION_ID":"k","ID":"copy 2"}\t$payload\t1700000000000\t0
\\.
	});
	wait_caught_up($node);

	my @records = consume($kafka, $customer);
	is(scalar @records, 1, "$kind: the worked example is one record");
	is($records[0]{key}, '101', "$kind: its key");
	is($records[0]{partition}, 0, "$kind: its partition of 2");
	is($records[0]{value},
		qq({"payload":"{\\"customerId\\":101,\\"orderId\\":102}","headers":$worked}),
		"$kind: its value");
	is(length $records[0]{value}, 481, "$kind: the value's length");

	is_deeply(
		[ map { [ $_->{key}, $_->{value} ] } consume($kafka, 'tram') ],
		[ map { [ 'k', envelope($payload, qq({"PARTITION_ID":"k","ID":"$_"})) ] }
			  ('0.24', '0.25', '0.27', '0.31', 'sharded', 'null', 'copy 1', 'copy 2') ],
		"$kind: rows of every producer are published, but those that already were");
	return;
}

# ---------------------------------------------------------------------
# Plain records
# ---------------------------------------------------------------------
sub check_records
{
	my ($kind, $kafka, $node) = @_;
	my $all = join '', map { chr } 0 .. 255;
	my $all_hex = unpack 'H*', $all;

	$kafka->create_topic('records', 4);
	$node->safe_psql('postgres', qq{
		SELECT eventuate_produce('records', '\\x$all_hex'::bytea, '\\x$all_hex'::bytea, partition => 0);
		SELECT eventuate_produce('records', NULL, 'tombstone', partition => 0);
		SELECT eventuate_produce('records', '', '', partition => 0);
		SELECT eventuate_produce('records', NULL, NULL, partition => 0);
		SELECT eventuate_produce('records', 'text', partition => 0);
		SELECT eventuate_produce('records', '{"b": 1,  "aa": 2}'::json, partition => 0);
		SELECT eventuate_produce('records', '{"bb": 1,  "a": 2}'::jsonb, partition => 0);
		SELECT eventuate_produce('records', ${\ sql_text("$controls$astral$separators") }, ${\ sql_text($controls) }, partition => 0);
		SELECT eventuate_produce('records', ${\ sql_text($random) }, partition => 0);
		SELECT eventuate_produce('records', 'object', headers => '{"b": "1", "a": "", "": "x", "c d": "\\u00e9\\u0001\\"\\\\"}', partition => 1);
		SELECT eventuate_produce('records', 'array', headers => '[{"key": "z", "value": "1"}, {"key": "a", "value": null},
			{"key": "z", "value": ""}, {"key": "z", "base64": "AP8="}, {"key": "", "base64": ""}]', partition => 1);
		SELECT eventuate_produce('records', 'none', headers => '{}', partition => 1);
		SELECT eventuate_produce('records', 'none', headers => '[]', partition => 1);
		SELECT eventuate_produce('records', 'three', 'k', partition => 3);
		INSERT INTO eventuate.record (topic, value, partition) VALUES ('records', 'by hand', 3);});
	wait_caught_up($node);

	my @records = consume($kafka, 'records');
	same($_->{value}, $random, "$kind: 300 kB")
	  foreach grep { length($_->{value} // '') == length $random } @records;
	is_deeply(
		[ map { [ @$_{qw(partition key value headers)} ] } grep { length($_->{value} // '') < 1000 } @records ],
		[
			[ 0, $all, $all, [] ],
			[ 0, 'tombstone', undef, [] ],
			[ 0, '', '', [] ],
			[ 0, undef, undef, [] ],
			[ 0, undef, 'text', [] ],
			[ 0, undef, '{"b": 1,  "aa": 2}', [] ],
			[ 0, undef, '{"a": 2, "bb": 1}', [] ],
			[ 0, $controls, "$controls$astral$separators", [] ],
			[ 1, undef, 'object', [ [ '', 'x' ], [ 'a', '' ], [ 'b', '1' ], [ 'c d', "\xc3\xa9\x01\"\\" ] ] ],
			[ 1, undef, 'array', [ [ 'z', '1' ], [ 'a', undef ], [ 'z', '' ], [ 'z', "\x00\xff" ], [ '', '' ] ] ],
			[ 1, undef, 'none', [] ],
			[ 1, undef, 'none', [] ],
			[ 3, 'k', 'three', [] ],
			[ 3, undef, 'by hand', [] ]
		],
		"$kind: records arrive as they were given");
	is(scalar @records, 15, "$kind: none is missing");
	return;
}

# ---------------------------------------------------------------------
# The timestamp
# ---------------------------------------------------------------------
sub now_of
{
	return $_[0]->safe_psql('postgres', 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)');
}

sub check_times
{
	my ($kind, $kafka, $node) = @_;

	foreach my $which ('publish', 'commit')
	{
		$node->append_conf('postgresql.conf', "eventuate.record_timestamp = $which");
		$node->reload;
		# Between commit and publishing some time goes by.
		$node->safe_psql('postgres', 'SELECT eventuate_pause()');
		wait_for_state($node, 'postgres', 'paused');
		$node->safe_psql('postgres', "SELECT eventuate_send('time-$which', 'message', 'k');");
		$node->safe_psql('postgres', "SELECT eventuate_produce('time-$which', 'record', 'k');");
		$node->safe_psql('postgres', "SELECT eventuate_produce('time-$which', 'own', 'k', record_time => '2024-02-29 12:00:00.123999+00');");
		my $before = now_of($node);
		$node->safe_psql('postgres', 'SELECT eventuate_resume()');
		wait_for_state($node, 'postgres', 'streaming');
		wait_caught_up($node);
		my $after = now_of($node);
		my ($message, $record, $own) = consume($kafka, "time-$which");
		is($own->{ts}, 1709208000123, "$kind, $which: record_time is the timestamp");
		if ($which eq 'publish')
		{
			foreach ($message, $record)
			{
				cmp_ok($_->{ts}, '>=', $before, "$kind: the time is that of publishing, not of sending");
				cmp_ok($_->{ts}, '<=', $after, "$kind: the time is not in the future");
			}
			next;
		}
		my @committed = split /\n/, $node->safe_psql('postgres',
			q{SELECT floor(extract(epoch FROM pg_xact_commit_timestamp(txid::xid)) * 1000) FROM eventuate.message WHERE destination = 'time-commit'
			  UNION ALL (SELECT floor(extract(epoch FROM pg_xact_commit_timestamp(txid::xid)) * 1000) FROM eventuate.record WHERE topic = 'time-commit' ORDER BY id LIMIT 1)});
		is_deeply([ map { $_->{ts} } $message, $record ], \@committed, "$kind: the time is that of the commit");
	}
	$node->append_conf('postgresql.conf', 'eventuate.record_timestamp = publish');
	$node->reload;
	return;
}

# ---------------------------------------------------------------------
foreach my $kafka ($mock, real_kafka())
{
	my ($kind) = ref($kafka) =~ /(\w+)$/;
	my $node = new_node("main_$kind", kafka => $kafka,
		conf => "track_commit_timestamp = on\nautovacuum = off\n");

	wait_for_state($node, 'postgres', 'streaming');
	check_payloads($kind, $kafka, $node, 'EXTENDED');
	check_payloads($kind, $kafka, $node, 'EXTERNAL') if $kafka == $mock;
	check_headers($kind, $kafka, $node);
	check_producers($kind, $kafka, $node);
	check_records($kind, $kafka, $node);
	check_times($kind, $kafka, $node);
	is(stat_of($node, 'last_error'), '', "$kind: nothing was wrong with any row");
	$node->stop;
}

# ---------------------------------------------------------------------
# Databases of other encodings
# ---------------------------------------------------------------------
my $node = new_node('encodings', kafka => $mock);
foreach my $encoding ('LATIN1', 'SQL_ASCII')
{
	my $database = lc $encoding;
	my $utf8 = "\xc3\xa9 \"\xc3\xbf\"";
	my $native = $encoding eq 'LATIN1' ? "\xe9 \"\xff\"" : $utf8;
	my $name = $native =~ s/ .*//r;

	$node->safe_psql('postgres',
		"CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION eventuate');
	wait_for_state($node, $database, 'streaming');
	$node->safe_psql($database, qq{
		SET client_encoding = '$encoding';
		SELECT eventuate_send('$database', '$native', '$native', '{"$database": ${\ jackson($native) }}');
		INSERT INTO eventuate.message (id, destination, headers, payload)
		VALUES ('$native', '$database', '{"\\u20ac":"\\u20ac","ID":${\ jackson($native) }}', '$native');
		SELECT eventuate_produce('$database', '$native', '$native', '{"$name": ${\ jackson($native) }}', 0);
		SELECT eventuate_produce('$database', '\\xe9ff'::bytea, '\\xe9'::bytea, partition => 0);
		INSERT INTO eventuate.message (id, destination, headers, payload)
		VALUES ('2', '$database', '{"ID":${\ jackson($native) }}', '');});
	wait_caught_up($node, $database);

	my @records = consume($mock, $database);
	my ($sent) = grep { $_->{value} =~ /"DATE"/ } @records;
	is($sent->{key}, $utf8, "$encoding: key");
	like($sent->{value},
		qr/^\Q{"payload":${\ jackson($utf8) },"headers":{"$database":${\ jackson($utf8) },"PARTITION_ID":${\ jackson($utf8) },"DATE"/,
		"$encoding: payload and headers");
	my ($inserted) = grep { $_->{value} =~ /^\Q{"payload":${\ jackson($utf8) },"headers":{"\E\xe2/ } @records;
	is_deeply([ @$inserted{qw(key value)} ],
		[ $utf8, envelope($utf8, qq({"\xe2\x82\xac":"\xe2\x82\xac","ID":${\ jackson($utf8) }})) ],
		"$encoding: an inserted row, with a character that the encoding has not");
	is_deeply(
		[ map { [ @$_{qw(key value headers)} ] } grep { $_->{value} !~ /^\{/ } @records ],
		[ [ $utf8, $utf8, [ [ "\xc3\xa9", $utf8 ] ] ], [ "\xe9", "\xe9\xff", [] ] ],
		"$encoding: plain records; bytea is left alone");
	is(scalar(grep { $_->{value} eq envelope('', qq({"ID":${\ jackson($utf8) }})) } @records),
		1, "$encoding: headers that are canonical already");
	is(scalar @records, 5, "$encoding: that is all");
}

# In SQL_ASCII text can be anything.
my @refused = (
	q{eventuate_send('refused', E'\351')},
	q{eventuate_send('refused', '{}', E'\351')},
	q{eventuate_send('refused', '{}', 'k', jsonb_build_object('h', E'\351'))},
	q{eventuate_send('refused', '{}', 'k', jsonb_build_object(E'\351', 'h'))},
	q{eventuate_send('refused', ('"' || E'\351' || '"')::json)},
	q{eventuate_produce('refused', E'\351')},
	q{eventuate_produce('refused', 'v', E'\351')},
	q{eventuate_produce('refused', 'v', headers => jsonb_build_object('h', E'\351'))},
	q{eventuate_produce('refused', 'v', headers => jsonb_build_array(jsonb_build_object('key', 'h', 'value', E'\351')))});
foreach my $call (@refused)
{
	my ($status, $out, $err) = $node->psql('sql_ascii',
		"\\set VERBOSITY sqlstate\nBEGIN;\nSELECT eventuate_send('refused', 'with it');\nSELECT $call;\nCOMMIT;\n",
		on_error_stop => 0);
	like($err, qr/ERROR:  22021$/m, "refused where it is sent: $call");
}
wait_caught_up($node, 'sql_ascii');
is(scalar consume($mock, 'refused'), 0, 'nothing of a refused transaction is published');
is(stat_of($node, "state || coalesce(last_error, '')", 'sql_ascii'), 'streaming', 'and the publisher has not noticed');

# What json takes and jsonb does not: an escape that is not ASCII.
$node->safe_psql('sql_ascii', q{
	CREATE TABLE outbox (id int PRIMARY KEY, value text, topic text, headers json);
	SELECT eventuate_attach('outbox', 'raw')});
$node->safe_psql('sql_ascii', q{INSERT INTO outbox VALUES (1, 'v', 'escaped', '{"h": "\u00e9"}')});
wait_caught_up($node, 'sql_ascii');
is($node->safe_psql('sql_ascii', q{SELECT reason FROM eventuate.dead_letter WHERE topic = 'escaped'}),
	'row "1" of table "outbox" cannot be published: the headers hold what jsonb cannot', 'an escape that is not ASCII');

done_testing();
