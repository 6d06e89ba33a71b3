# eventuate.exactly_once: switched on and off under load, a transaction that is
# published in parts, what Kafka forgets, and a slot that is lost.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(proxied => 1);
my $node = new_node('main', kafka => $kafka->proxy, restart_after_crash => 1,
	conf => "log_statement = none\nautovacuum = off\n");
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

# Nothing is lost, and nothing comes twice where nobody crashes.
my $load = start_load($node, 'load', rate => 300);
foreach my $value (qw(on off on))
{
	my $sent = load_sent($node, 'load');
	wait_until('load', sub { load_sent($node, 'load') > $sent + 300 });
	switch($value);
}
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'load', 'switched on and off', once => 1);

# More than goes into one of Kafka's transactions, with a crash in the middle, and
# another in what was left: Kafka is far away, so that these take a while.
$kafka->create_topic('big', 1);
$kafka->proxy->delay(100);
my $log;
my $before = stat_of($node, 'messages');
$node->safe_psql('postgres', q{SELECT eventuate_send('big', i::text, 'k') FROM generate_series(1, 200000) AS i});
foreach my $count (20000, 0)
{
	$log = log_position($node);
	wait_for_query($node, 'postgres', "SELECT messages - $before > $count FROM pg_stat_eventuate");
	kill 'KILL', publisher_pid($node);
	wait_for_log($node, qr/Of the transaction that ends at .* messages are published/, $log);
	$before = 0;
}
$kafka->proxy->delay(0);
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
my @numbers = map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, 'big');
is(scalar @numbers, 200000, 'each message of a large transaction comes once');
is((grep { $numbers[$_] != $_ + 1 } 0 .. $#numbers), 0, 'in order');

# Kafka forgets the position: from where the slot is.
$node->stop;
$kafka->java('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', '--bootstrap-server', $kafka->brokers,
	'--delete', '--all-groups');
$log = log_position($node);
$node->start;
wait_for_log($node, qr/publishing goes on from .*, where the slot is confirmed/, $log);
$node->safe_psql('postgres', q{SELECT eventuate_send('big', '200001', 'k')});
wait_caught_up($node);
is_deeply([ newest(2) ], [ 200000, 200001 ], 'a forgotten position is no loss');

# Kafka has lost what came after a position.
switch('off');
$node->safe_psql('postgres', q{SELECT eventuate_send('big', '200002', 'k')});
wait_caught_up($node);
$log = log_position($node);
switch('on');
wait_for_log($node, qr/WARNING: +the position .* that Kafka keeps is behind replication slot/, $log);
wait_caught_up($node);
is_deeply([ newest(2) ], [ 200001, 200002 ], 'nothing comes again');

# The slot is lost: from the tables, and the log says how many.
$node->safe_psql('postgres', 'SELECT eventuate_pause()');
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', q{SELECT eventuate_send('big', '200003', 'k')});
$node->stop;
PostgreSQL::Test::Utils::system_or_bail('rm', '-r', glob $node->data_dir . '/pg_replslot/eventuate_*');
$log = log_position($node);
$node->start;
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_log($node, qr/published \d+ messages from the tables/, $log);
wait_for_state($node, 'postgres', 'streaming');
wait_caught_up($node);
is((newest(1))[0], 200003, 'a lost slot loses nothing');

done_testing();

# The newest payloads of topic "big"; transactions of Kafka's take offsets, too.
sub newest
{
	my ($count) = @_;
	my @payloads = map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, 'big', from => -20);
	return @payloads[ -$count .. -1 ];
}

sub switch
{
	my ($value) = @_;
	my $pid = publisher_pid($node);

	$node->safe_psql('postgres', "ALTER SYSTEM SET eventuate.exactly_once = $value");
	$node->reload;
	wait_until('another publisher', sub { publisher_pid($node) != $pid });
	wait_for_state($node, 'postgres', 'streaming');
	return;
}
