# A backlog of many segments of WAL, read while more comes: pages are read ahead
# where they are whole, one by one where WAL ends.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka,
	init => [ extra => ['--wal-segsize=1'] ], conf => "max_wal_size = 64MB\n");

# The last one's number of the segment that is written to.
sub segment
{
	return $node->safe_psql('postgres', q{SELECT (pg_current_wal_lsn() - '0/0')::bigint / (1024 * 1024)});
}

wait_for_state($node, 'postgres', 'streaming');
$kafka->create_topic('backlog', 4);
prepare_load($node);
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
my $before = segment();
my $load = start_load($node, 'backlog', rate => 'full', bytes => 700);
wait_until('a backlog', sub { segment() > $before + 12 });
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_until('more that is published', sub { stat_of($node, 'messages') > 2000 });
my $resumed = segment();
wait_until('more of WAL', sub { segment() > $resumed + 3 });
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'backlog', 'of a backlog', once => 1);
done_testing();
