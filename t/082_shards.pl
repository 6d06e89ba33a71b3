# Tables message0 to message7, as Flyway makes them, with eight writers: each has
# its publisher's whole attention, also where the slot is lost meanwhile.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
$kafka->create_topic('load', 4);
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

sub run { return $node->safe_psql('postgres', $_[0]); }

run(qq{CREATE TABLE message$_ (id varchar(255) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL,
	published smallint DEFAULT 0, message_partition smallint, creation_time bigint);
	CREATE INDEX message$_\_published_idx ON message$_ (published, id);
	SELECT eventuate_attach('message$_', 'eventuate')}) foreach 0 .. 7;
run('CREATE VIEW shards AS ' . join ' UNION ALL ', map { "SELECT * FROM message$_" } 0 .. 7);

# Clients write to two shards each, so a transaction is in two tables.
my $insert = sub {
	my ($shard) = @_;
	return qq{
	INSERT INTO message$shard (id, destination, headers, payload, creation_time, published, message_partition)
	SELECT id, 'load', format('{"PARTITION_ID":"client-%s-$shard","ID":"%s"}', :client_id, id), n, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), 0, 1
	FROM nextval('load_numbers') AS n, LATERAL (SELECT format('0000018bcfe5687b-%s', lpad(to_hex(n), 16, '0'))) AS i (id);};
};
my $load = start_load($node, '', clients => 8, rate => 300,
	script => "\\set other (:client_id + 1) % 8\nBEGIN; ${\ $insert->(':client_id')} ${\ $insert->(':other')} COMMIT;\n");
my $sent = sub { my ($more) = @_; my $now = run('SELECT count(*) FROM shards'); wait_for_query($node, 'postgres', "SELECT count(*) >= $now + $more FROM shards"); };

$sent->(1000);
wait_until('messages', sub { stat_of($node, 'messages') > 500 });
is(run('SELECT count(DISTINCT payload) > 1000 FROM shards'), 't', 'eight clients write');

# The slot is lost under load.
run('SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
run('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
$sent->(500);
run('SELECT eventuate_resume()');
wait_for_state($node, 'postgres', 'streaming');
$sent->(500);
stop_load($load);
wait_caught_up($node);
is(run(q{SELECT count(*) FROM (SELECT 1 FROM (} . join(' UNION ALL ', map { "SELECT $_ AS shard FROM message$_" } 0 .. 7) . q{) AS s GROUP BY shard) AS t}),
	8, 'all shards are written to');
check_load($node, $kafka, 'load', 'eight shards', table => 'shards');
is(run('SELECT count(*) FROM eventuate.dead_letter'), 0, 'nothing is malformed');
done_testing();
