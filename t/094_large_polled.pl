# Rows that are polled are read in batches that fit in memory, however large
# the rows are.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, conf => "max_worker_processes = 12\n");
my $remote = PostgreSQL::Test::Cluster->new('remote');
$remote->init;
$remote->start;

sub run { return $node->safe_psql('postgres', $_[0]); }

# Each row is small where it is, and large on its way.
my $rows = 40;
my $size = 8 * 1024 * 1024;
$remote->safe_psql('postgres', qq{
	CREATE TABLE large (id int PRIMARY KEY, topic text, value text, done int DEFAULT 0);
	INSERT INTO large SELECT n, 'large', repeat('x', $size) FROM generate_series(1, $rows) AS n;
	INSERT INTO large VALUES (0, 'small', 'first'), ($rows + 1, 'small', 'last')});
run(sprintf q{CREATE EXTENSION postgres_fdw;
	CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'postgres');
	CREATE USER MAPPING FOR current_user SERVER remote;
	IMPORT FOREIGN SCHEMA public FROM SERVER remote INTO public}, $remote->host, $remote->port);
run(q{SELECT eventuate_attach('large', 'raw', reader => 'polling', poll_interval => '50ms', columns => '{"published": "done"}')});

my @records = wait_for_records($kafka, 'small', 2);
is_deeply([ sort map { $_->{value} } @records ], [ 'first', 'last' ], 'rows before and behind large ones are published');
$remote->poll_query_until('postgres', 'SELECT bool_and(done = 1) FROM large') or die;
is(run("SELECT count(*) || ' of ' || min(length(value)) FROM eventuate.dead_letter"), "$rows of $size", 'large ones are refused, and kept');
my $poller = run(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'eventuate poller'});
my ($peak) = slurp_file("/proc/$poller/status") =~ /^VmHWM:\s+(\d+) kB/m;
note("the poller had $peak kB at most");
cmp_ok($peak, '<', $rows * $size / 1024 / 2, 'not all of them are in memory at a time');

done_testing();
