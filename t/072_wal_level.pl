# A server whose wal_level is lowered publishes nothing and takes no sends, says
# so, and goes on when it is raised.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
wait_for_state($node, 'postgres', 'streaming');
sub payloads { return map { $_->{value} =~ /"payload":"([^"]*)"/ } @_; }

$node->safe_psql('postgres', q{SELECT eventuate_send('c', 'before', 'k')});
wait_caught_up($node);

# PostgreSQL starts with no logical slot then.
$node->safe_psql('postgres', q{SELECT eventuate_pause()});
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', q{SELECT eventuate_send('c', 'paused', 'k');
	SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots});
$node->append_conf('postgresql.conf', "wal_level = replica\n");
$node->restart;
$node->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_query($node, 'postgres', q{SELECT concat(state, ': ', last_error) LIKE
	'stopped: wal_level is not "logical"; set it in postgresql.conf and restart the server%' FROM pg_stat_eventuate});
my ($status, $out, $err) = $node->psql('postgres', q{SELECT eventuate_send('c', 'refused')});
like($err, qr/requires wal_level to be "logical"/, 'sends are refused');

# What comes by INSERT is not lost.
$node->safe_psql('postgres', q{INSERT INTO eventuate.message (id, destination, headers, payload)
	VALUES ('i', 'c', '{"ID": "i", "PARTITION_ID": "k"}', 'inserted')});
my $pid = publisher_pid($node);
$node->reload;
wait_for_log($node, qr/received SIGHUP/);
is(publisher_pid($node), $pid, 'it rests');

$node->append_conf('postgresql.conf', "wal_level = logical\n");
$node->restart;
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('c', 'after', 'k')});
wait_caught_up($node);
is_deeply([ payloads(consume($kafka, 'c')) ], [ 'before', 'paused', 'inserted', 'after' ], 'raised again, everything arrives, once');

done_testing();
