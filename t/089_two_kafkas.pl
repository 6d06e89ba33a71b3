# Databases of one server, each with a Kafka of its own.

use strict;
use warnings;

use lib 't';
use Eventuate;

my ($first, $second) = (mock_kafka(), mock_kafka());
my $file = PostgreSQL::Test::Utils::tempdir() . '/kafka.properties';
open(my $out, '>', $file) or die "could not write $file: $!";
print $out '[two]', "\n", 'bootstrap.servers=', $second->brokers, "\n";
close($out) or die "could not write $file: $!";
chmod 0600, $file;
my $node = new_node('main', kafka => $first, conf => "eventuate.kafka_file = '$file'\nmax_worker_processes = 12\n");
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('two', 'CREATE EXTENSION eventuate');
wait_for_state($node, $_, 'streaming') foreach qw(postgres two);

sub run { return $node->safe_psql(@_); }

# Without keys they go to any partition.
sub values_of { return [ sort map { $_->{value} } consume(@_) ]; }

run('postgres', q{SELECT eventuate_produce('t', 'one')});
run('two', q{SELECT eventuate_produce('t', 'two')});
wait_caught_up($node, $_) foreach qw(postgres two);
is_deeply(values_of($first, 't'), ['one'], 'a database publishes to its Kafka');
is_deeply(values_of($second, 't'), ['two'], 'another to another');

# One is away: the other does not notice.
$second->stop;
run('two', q{SELECT eventuate_produce('t', 'two again')});
run('postgres', q{SELECT eventuate_produce('t', 'one again')});
wait_caught_up($node, 'postgres');
is_deeply(values_of($first, 't'), [ 'one', 'one again' ], 'one Kafka that is away stops its own database only');
wait_for_state($node, 'two', 'waiting');
$second->start;
wait_caught_up($node, 'two');
is_deeply(values_of($second, 't'), [ 'two', 'two again' ], 'until it is back');

# What each database has attached is its own.
run('two', q{CREATE TABLE outbox (topic text, value text); SELECT eventuate_attach('outbox', 'raw'); INSERT INTO outbox VALUES ('t', 'attached')});
wait_caught_up($node, 'two');
is_deeply(values_of($second, 't'), [ 'attached', 'two', 'two again' ], 'a table that is attached goes to the Kafka of its database');
is(run('two', q{SELECT messages || ' ' || state FROM pg_stat_eventuate_outbox WHERE relname = 'outbox'}), '1 streaming', 'the view counts it');
is(run('postgres', q{SELECT count(*) FROM pg_stat_eventuate_outbox WHERE relname = 'outbox'}), 0, 'and only in its database');
run('postgres', 'CREATE ROLE monitor IN ROLE pg_monitor');
is(run('two', q{SET ROLE monitor; SELECT count(*) FROM pg_stat_eventuate_outbox}), 3, 'pg_monitor may see it');
run('postgres', 'CREATE ROLE nobody');
my ($status, $stdout, $stderr) = $node->psql('two', 'SET ROLE nobody; SELECT * FROM pg_stat_eventuate_outbox');
like($stderr, qr/permission denied for view pg_stat_eventuate_outbox/, 'others may not');

done_testing();
