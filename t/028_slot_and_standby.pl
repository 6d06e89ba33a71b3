# A commit that is in WAL, but waits for its synchronous standby and is not
# visible yet, while the slot is made: decoding begins behind it.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $primary = new_node('primary', kafka => $kafka);
wait_for_state($primary, 'postgres', 'streaming');
my $standby = new_synchronous_standby($primary);

# The standby receives and flushes, and does not replay: who wants to see his
# commit there waits, and nobody else.
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
wait_for_query($standby, 'postgres', 'SELECT pg_get_wal_replay_pause_state()', 'paused');

$primary->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($primary, 'postgres', 'paused');
$primary->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate');
prepare_transaction($primary, 'a');
$primary->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_until_awaited($primary, 'a');
prepare_transaction($primary, 'b');
commit_prepared($primary, 'a');
wait_until_awaited($primary, 'b');

# Begun behind the slot's list of running transactions, so it is not waited for.
my $client = $primary->background_psql('postgres');
$client->query_until(qr/sent/, q{\echo sent
SET synchronous_commit = remote_apply; SELECT eventuate_send('standby', 'invisible', 'k');
});
wait_for_query($primary, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 1);
my $position = log_position($primary);
commit_prepared($primary, 'b');
wait_for_log($primary, qr/logical decoding found consistent point/, $position);
$primary->safe_psql('postgres', q{SELECT eventuate_send('standby', 'visible', 'k')});
is($primary->safe_psql('postgres', 'SELECT string_agg(payload, NULL) FROM eventuate.message'), 'visible',
	'the slot is consistent and the commit is not visible');
is(stat_of($primary, 'state'), 'recovering', 'it is waited for');

$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_for_state($primary, 'postgres', 'streaming');
wait_caught_up($primary);
is_deeply([ sort map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'standby') ],
	[ 'invisible', 'visible' ], 'it is published, once');
$client->quit;

done_testing();
