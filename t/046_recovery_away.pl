# Kafka goes away in the middle of a round from the tables: the round holds back
# neither vacuum nor commands on the tables, and is begun again when it is back.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, properties => 'batch.num.messages=10',
	conf => "eventuate.queue_size = 1MB\n");
wait_for_state($node, 'postgres', 'streaming');

sub run { return $node->safe_psql('postgres', $_[0]); }

my $held = q{SELECT count(*) > 0 FROM pg_stat_activity a WHERE backend_type = 'eventuate publisher'
	AND (backend_xmin IS NOT NULL OR EXISTS (SELECT FROM pg_locks WHERE pid = a.pid AND relation = 'eventuate.message'::regclass))};

# Far more than the queue holds, for a Kafka that is slow.
run('SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
run('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
run(q{SELECT eventuate_send('rounds', i || repeat('.', 400), 'k') FROM generate_series(1, 5000) AS i});
$kafka->command('rtt 1 300');
run('SELECT eventuate_resume()');
wait_for_query($node, 'postgres', 'SELECT in_flight > 100 FROM pg_stat_eventuate', 't');
is(run($held), 't', 'a round holds a snapshot and locks');

my $pid = publisher_pid($node);
$kafka->command('down 1');
wait_for_state($node, 'postgres', 'waiting');
wait_for_query($node, 'postgres', $held, 'f');
isnt(publisher_pid($node), $pid, 'while Kafka is away it is given up');
run('BEGIN; LOCK TABLE eventuate.message; COMMIT');

$kafka->command('rtt 1 0');
$kafka->command('up 1');
wait_for_state($node, 'postgres', 'streaming');
run(q{SELECT eventuate_send('rounds', '5001', 'k')});
wait_caught_up($node);
my %seen;
is_deeply([ grep { !$seen{$_}++ } map { $_->{value} =~ /"payload":"(\d+)/ } consume($kafka, 'rounds') ],
	[ 1 .. 5001 ], 'nothing is lost, and order is kept');

done_testing();
