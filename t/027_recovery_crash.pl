# Whatever happens in the middle of recovery, it begins again, and nothing is
# left out.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, properties => 'batch.num.messages=10', restart_after_crash => 1,
	conf => "eventuate.queue_size = 1MB\nlog_statement = none\n");
wait_for_state($node, 'postgres', 'streaming');

# What users set for their own transactions is not for the publisher's.
if ($node->safe_psql('postgres', 'SHOW server_version_num') >= 170000)
{
	$node->safe_psql('postgres', q{ALTER DATABASE postgres SET transaction_timeout = '100ms'});
	$ENV{PGOPTIONS} = '-c transaction_timeout=0';
}

# A round that takes half a minute, for a slow Kafka: the publisher dies in it,
# then the server.
lose_slot();
$node->safe_psql('postgres', q{SELECT eventuate_send('rounds', i || repeat('.', 400), 'k') FROM generate_series(1, 3000) AS i});
$kafka->command('rtt 1 500');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
in_a_round();
my $pid = publisher_pid($node);
kill 'KILL', $pid;
wait_until('another publisher', sub {
	my $now = Eventuate::ask($node, 'postgres', 'SELECT pid FROM pg_stat_eventuate');
	return defined $now && $now =~ /^\d+$/ && $now != $pid;
});
in_a_round();
$node->stop('immediate');
$node->start;
in_a_round();
$kafka->command('rtt 1 0');
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('rounds', '3001', 'k')});
wait_caught_up($node);
my %seen;
is_deeply([ grep { !$seen{$_}++ } payloads('rounds') ], [ 1 .. 3001 ], 'nothing is lost, and order is kept');
unlike(slurp_file($node->logfile), qr/transaction timeout/, 'and nothing is timed');

# The slot waits for two transactions, one after the other.  The second one's
# message is seen by the slot's first snapshot, and only by that.  Kafka is gone
# when it is sent, and then the publisher.
lose_slot();
prepare_transaction($node, 'a');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_until_awaited($node, 'a');
$node->safe_psql('postgres', q{SELECT eventuate_send('round', 'of an earlier round', 'k')});
wait_for_query($node, 'postgres', 'SELECT timeline FROM eventuate.progress', 0);
prepare_transaction($node, 'b', q{SELECT eventuate_send('last', 'of the last round', 'k')});
commit_prepared($node, 'a');
wait_until_awaited($node, 'b');
$kafka->stop;
commit_prepared($node, 'b');
wait_for_query($node, 'postgres', 'SELECT in_flight FROM pg_stat_eventuate', 1);
$pid = publisher_pid($node);
kill 'KILL', $pid;
wait_until('another publisher', sub {
	my $now = Eventuate::ask($node, 'postgres', 'SELECT pid FROM pg_stat_eventuate');
	return defined $now && $now =~ /^\d+$/ && $now != $pid;
});
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0,
	'there is no slot before all of that is acknowledged');
wait_for_state($node, 'postgres', 'waiting');
like(stat_of($node, 'last_error'), qr/there is no replication slot/, 'and the view says so');
$kafka->start;
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('last', 'then', 'k')});
wait_caught_up($node);
is_deeply([ payloads('last') ], [ 'of the last round', 'then' ], 'what was not acknowledged comes');

# A slot that is being made holds back vacuum and WAL: not without Kafka.
lose_slot();
prepare_transaction($node, 'orphan');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_until_awaited($node, 'orphan');
$kafka->stop;
wait_for_query($node, 'postgres', 'SELECT count(*) FROM pg_replication_slots', 0);
wait_for_state($node, 'postgres', 'waiting');
pass('a slot is not left half made while Kafka is away');
$node->safe_psql('postgres', q{SELECT eventuate_send('away', 'meanwhile', 'k')});
$kafka->start;
wait_for_records($kafka, 'away', 1);
commit_prepared($node, 'orphan');
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is_deeply([ payloads('away') ], ['meanwhile'], 'recovery goes on with Kafka');

done_testing();

sub lose_slot
{
	$node->safe_psql('postgres', 'SELECT eventuate_pause()');
	wait_for_state($node, 'postgres', 'paused');
	$node->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
}

# Until something has arrived of a round that is not over.
sub in_a_round
{
	wait_for_query($node, 'postgres', q{SELECT messages > 0 AND state = 'recovering' FROM pg_stat_eventuate});
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_replication_slots'), 0, 'in the middle of a round');
}

sub payloads
{
	return map { $_->{value} =~ /"payload":"([^".]*)/ ? $1 : $_->{value} } consume($kafka, $_[0]);
}
