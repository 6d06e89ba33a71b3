# From the Eventuate CDC service to here and back while services write, by the
# steps of doc/migrating.md: nothing is missing, each key is in order, and no
# more comes twice than the service had sent and not confirmed, with the same id.
# From Tram's table as it usually is, and from one whose ids the database gives.
#
# The service is played here: it reads a slot, or polls, and is behind with
# saying what it has published.

use strict;
use warnings;

use lib 't';
use Eventuate;
use IPC::Run;

# The table and what is inserted there, by the column that tells rows apart; the
# record as kcat takes it.  Of "dbid" the service makes the ids.
my %layouts = (
	id => {
		column => 'id varchar(1000) PRIMARY KEY',
		inserted => q{id, 'load', format('{"PARTITION_ID":"client-%s","ID":"%s"}', :client_id, id)},
		record => q{SELECT (headers::json->>'PARTITION_ID') || '|{"payload":"' || payload || '","headers":' || headers || '}'},
		columns => 'id',
		change => q{id\[character varying\]:'([^']*)'},
		options => '',
		detach => q{SELECT eventuate_detach('eventuate.message')}
	},
	dbid => {
		column => q{dbid bigserial PRIMARY KEY, id varchar(1000)},
		inserted => q{'', 'load', format('{"PARTITION_ID":"client-%s"}', :client_id)},
		record => q~SELECT (headers::json->>'PARTITION_ID') || '|{"payload":"' || payload || '","headers":{"ID":"'
			|| lpad(to_hex(dbid), 16, '0') || '-0000000000000007",' || substr(headers, 2) || '}'~,
		columns => 'dbid, id',
		change => q{dbid\[bigint\]:(\d+)},
		options => ', outbox_id => 7',
		detach => ''
	});
my ($key, $layout);
my ($kafka, $node, %published);

# The service's plugin where there is one, else another whose changes say the id as well.
my $dir = `pg_config --pkglibdir`;
chomp $dir;
my ($plugin, $changes) = -e "$dir/wal2json.so"
  ? ('wal2json', sub { qq{
	SELECT place, jsonb_path_query_first(data::jsonb, '\$.columns[*] ? (\@.name == "$key").value') #>> '{}' AS key
	FROM pg_logical_slot_$_[0]_changes('eventuate_slot', NULL, $_[1], 'format-version', '2', 'add-tables', 'eventuate.message')
		WITH ORDINALITY AS c (lsn, xid, data, place)
	WHERE data::jsonb->>'action' = 'I'} })
  : ('test_decoding', sub { qq{
	SELECT place, substring(data FROM \$re\$^table eventuate.message: INSERT: $layout->{change}\$re\$) AS key
	FROM pg_logical_slot_$_[0]_changes('eventuate_slot', NULL, $_[1]) WITH ORDINALITY AS c (lsn, xid, data, place)
	WHERE data LIKE 'table eventuate.message: INSERT:%'} });
note("the slot is that of $plugin");

foreach (qw(id dbid))
{
	($key, $layout) = ($_, $layouts{$_});
	cut_over("$key, from a slot", \&read_slot,
		sub {
			run("SELECT pg_create_logical_replication_slot('eventuate_slot', '$plugin')");
		},
		sub {
			run(qq{
				BEGIN;
				SELECT eventuate_attach('eventuate.message', 'eventuate'$layout->{options});
				WITH waiting AS (${\ $changes->('peek', 'NULL')}),
					moved AS (DELETE FROM eventuate.message AS m USING waiting AS w WHERE m.$key\::text = w.key RETURNING w.place, m.*)
				INSERT INTO eventuate.message ($layout->{columns}, destination, headers, payload, published, message_partition, creation_time)
				SELECT $layout->{columns}, destination, headers, payload, published, message_partition, creation_time FROM moved ORDER BY place;
				COMMIT;
				SELECT pg_drop_replication_slot('eventuate_slot')});
		},
		sub {
			run("SELECT pg_create_logical_replication_slot('eventuate_slot', '$plugin')");
			my ($lsn) = run(q{BEGIN; SELECT eventuate_detach('eventuate.message'); SELECT pg_current_wal_insert_lsn(); COMMIT}) =~ m{([0-9A-F]+/[0-9A-F]+)};
			run("SELECT pg_replication_slot_advance('eventuate_slot', '$lsn')");
		});
	cut_over("$key, polling", \&poll, sub { },
		sub {
			# Of what nobody has sent some is written again, and keeps its turn though it lies behind what is younger.
			run(qq{UPDATE eventuate.message SET message_partition = 1 WHERE $key IN
				(SELECT $key FROM eventuate.message WHERE published = 0 ORDER BY $key DESC LIMIT 50 OFFSET 50)});
			run("SELECT eventuate_attach('eventuate.message', 'eventuate', publish_existing => true$layout->{options})");
		},
		sub { run(q{BEGIN; SELECT eventuate_detach('eventuate.message'); UPDATE eventuate.message SET published = 1 WHERE published = 0; COMMIT}); });
}
done_testing();

sub run { return $node->safe_psql('postgres', $_[0]); }

# service() publishes some and returns how many it has not confirmed; service(1)
# confirms all, and returns how many they were.
sub cut_over
{
	my ($what, $service, $prepare, $here, $back) = @_;

	$kafka = mock_kafka();
	$kafka->create_topic('load', 4);
	$node = new_node($what =~ s/\W+/_/gr, kafka => $kafka, extension => 0);
	run("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, $plugin"), $node->reload
	  if run(q{SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'});
	prepare_load($node);
	%published = ();
	run(qq{CREATE SCHEMA eventuate; CREATE TABLE eventuate.message ($layout->{column}, destination text NOT NULL,
		headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint)});
	$prepare->();
	my $insert = qq{
		INSERT INTO eventuate.message (id, destination, headers, payload, creation_time, published, message_partition)
		SELECT $layout->{inserted}, n, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), 0, NULL
		FROM nextval('load_numbers') AS n, LATERAL (SELECT format('0000018bcfe5687b-%s', lpad(to_hex(n), 16, '0'))) AS i (id);};
	my $load = start_load($node, '', rate => 300, script => "BEGIN; $insert $insert COMMIT;\n");
	my $wait = sub {
		my $sent = load_sent($node, 'load');
		wait_until('messages', sub { load_sent($node, 'load') > $sent + 100 });
	};

	# 1: the extension, which leaves the table alone
	$service->() foreach 1 .. 3;
	run(q{BEGIN; LOCK TABLE eventuate.message IN SHARE ROW EXCLUSIVE MODE; CREATE EXTENSION eventuate;} . "$layout->{detach}; COMMIT");
	wait_for_state($node, 'postgres', 'streaming');
	$service->() foreach 1 .. 3;

	# 2, 3: the service has stopped; from here on it is us
	$wait->();
	my $unconfirmed = $service->();
	$wait->();
	$here->();
	$wait->();
	wait_caught_up($node);
	cmp_ok($unconfirmed, '>', 0, "$what: the service has sent what it has not confirmed");
	cmp_ok(stat_of($node, 'messages'), '>', $unconfirmed, "$what: we have published more than that");

	# And back
	$back->();
	wait_caught_up($node);
	$wait->();
	stop_load($load);
	wait_until('the service', sub { $service->(1) == 0 });
	my $repeated = check_load($node, $kafka, 'load', $what);
	is($repeated, $unconfirmed, "$what: what the service had not confirmed came twice, nothing else");
	my ($records, %ids) = ('');
	IPC::Run::run([ 'kcat', '-C', '-b', $kafka->brokers, '-t', 'load', '-e', '-q' ], '>', \$records) or die 'kcat';
	$ids{$1}{$2} = 1 while $records =~ /"payload":"(\d+)".*?"ID":"([^"]+)"/g;
	is(scalar(grep { keys %$_ == 1 } values %ids), load_sent($node, 'load'), "$what: with the same id");
	$node->stop;
}

# Rows as the service publishes them.
sub publish
{
	my ($rows) = @_;
	my ($in, $err) = ($rows, '');
	return if $rows eq '';
	IPC::Run::run([ 'kcat', '-P', '-b', $kafka->brokers, '-t', 'load', '-K', '|', '-X', 'topic.partitioner=murmur2_random' ],
		'<', \"$in\n", '2>', \$err) or die "kcat: $err";
}

sub read_slot
{
	my ($all) = @_;
	my @rows = split /\n/, run("$layout->{record}, $key FROM (${\ $changes->('peek', 'NULL')}) AS c JOIN eventuate.message AS m ON m.$key\::text = c.key ORDER BY place");
	my @new = grep { !$published{$_}++ } @rows;

	publish(join "\n", map { s/\|[^|]*$//r } @new);
	return 0 unless @rows;
	my $confirmed = run("SELECT count(*) FROM (${\ $changes->('get', $all ? 'NULL' : int(@rows / 2))}) AS c");
	return $all ? @rows : @rows - $confirmed;
}

sub poll
{
	my ($all) = @_;
	my $found = "FROM eventuate.message WHERE published = 0 ORDER BY $key LIMIT 200";
	my @rows = split /\n/, run("$layout->{record}, $key $found");
	my @new = grep { !$published{$_}++ } @rows;

	publish(join "\n", map { s/\|[^|]*$//r } @new);
	my @done = map { "'" . (split /\|/)[-1] . "'" } $all ? @rows : @rows[ 0 .. @rows / 2 - 1 ];
	run('UPDATE eventuate.message SET published = 1 WHERE ' . $key . ' IN (' . join(',', @done) . ')') if @done;
	return $all ? @rows : @rows - @done;
}
