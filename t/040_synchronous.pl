# With synchronous replication nothing reaches Kafka that a synchronous
# standby has not confirmed: a failover could take it back.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $primary = new_node('primary', kafka => $kafka, conf => "log_statement = none\n");
wait_for_state($primary, 'postgres', 'streaming');
my $standby = new_synchronous_standby($primary);

$primary->safe_psql('postgres', q{SELECT eventuate_send('sync', 'both have it', 'k')});
wait_for_records($kafka, 'sync', 1);
pass('what the standby has is published');
wait_for_state($primary, 'postgres', 'streaming');

# The standby is gone: commits hang, and nobody may see what they wrote.
$standby->stop;
my $client = $primary->background_psql('postgres');
$client->query_until(qr/sent/, q{\echo sent
SELECT eventuate_send('sync', 'only the primary has it', 'k');
});
wait_for_query($primary, 'postgres',
	q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, 1);
$primary->safe_psql('postgres',
	q{SET synchronous_commit = local; SELECT eventuate_send('sync', 'only the primary wants it', 'k')});
wait_for_state($primary, 'postgres', 'waiting');
like(stat_of($primary, 'last_error'), qr/standbys have not confirmed .* synchronous_standby_names is "standby"/, 'the view says who is waited for');
is(scalar(consume($kafka, 'sync')), 1, 'what no standby has confirmed is not published');

# A new slot sees no further.
$primary->safe_psql('postgres', q{SET synchronous_commit = local; SELECT eventuate_pause()});
wait_for_state($primary, 'postgres', 'paused');
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate});
$primary->safe_psql('postgres', q{SET synchronous_commit = local; SELECT eventuate_resume()});
wait_for_state($primary, 'postgres', 'recovering');
wait_for_query($primary, 'postgres',
	q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
	  WHERE backend_type = 'eventuate publisher' AND locktype = 'virtualxid'}, 1);
is(scalar(consume($kafka, 'sync')), 1, 'nor is it when it is read from the table');

$standby->start;
wait_for_state($primary, 'postgres', 'streaming');
my @values = map { $_->{value} =~ /"payload":"([^"]*)"/ } wait_for_records($kafka, 'sync', 3);
is_deeply([ sort @values ], [ 'both have it', 'only the primary has it', 'only the primary wants it' ],
	'everything is published once the standby is back');
$client->quit;

# The standby takes over while the primary has more than it.
$standby->stop;
$client = $primary->background_psql('postgres');
$client->query_until(qr/sent/, q{\echo sent
SELECT eventuate_send('sync', 'taken back', 'k');
});
wait_for_state($primary, 'postgres', 'waiting');
$primary->stop('immediate');
$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''\nprimary_conninfo = ''\n");
$standby->start;
$standby->promote;
wait_for_state($standby, 'postgres', 'streaming');
$standby->safe_psql('postgres', q{SELECT eventuate_send('sync', 'after the failover', 'k')});
wait_caught_up($standby);
@values = map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'sync');
is(scalar(grep { $_ eq 'taken back' } @values), 0, 'no phantom after a failover');
is(scalar(grep { $_ eq 'after the failover' } @values), 1, 'and publishing goes on');
eval { $client->quit; };

done_testing();
