# With eventuate.exactly_once a consumer that reads committed records gets every
# message once and in order, whatever dies.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka(proxied => 1);
my $node = new_node('main', kafka => $kafka->proxy, restart_after_crash => 1,
	conf => "eventuate.exactly_once = on\nlog_statement = none\n");
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

$node->safe_psql('postgres', q{SELECT eventuate_send('one', 'x')});
wait_caught_up($node);
is(scalar(my @one = consume($kafka, 'one')), 1, 'a message arrives');
like($node->safe_psql('postgres', 'SELECT * FROM eventuate_kafka_settings()'),
	qr/^transactional\.id\|eventuate-\d+-\d+$/m, 'by a transactional producer');

# What the clients notice nothing of.
my $load = start_load($node, 'load', rate => 400);
under_load('connections are reset', sub { $kafka->proxy->reset($_) foreach 0, 1, 1 });
under_load('publisher ended', sub { another_publisher(sub { kill 'TERM', $_[0] }) });
under_load('Kafka restarted', sub { $kafka->stop; $kafka->start });
under_load('Kafka frozen', sub { $kafka->freeze; sleep 1; $kafka->thaw });
stop_load($load);

# And what ends them.
crash('publisher killed', sub { another_publisher(sub { kill 'KILL', $_[0] }) });
crash('server stopped', sub { $node->stop('immediate'); $node->start });
check_load($node, $kafka, 'load', 'after all', once => 1);

done_testing();

sub under_load
{
	my ($what, $action) = @_;
	my $before = load_sent($node, 'load');

	wait_until('load', sub { load_sent($node, 'load') > $before + 300 });
	$action->();
	wait_for_state($node, 'postgres', 'streaming');
	wait_caught_up($node);
	note($what);
	return;
}

sub another_publisher
{
	my ($end) = @_;
	my $pid = publisher_pid($node);

	$end->($pid);
	wait_until('another publisher', sub {
		my $now = Eventuate::ask($node, 'postgres', q{SELECT pid FROM pg_stat_eventuate});
		return defined $now && $now =~ /^\d+$/ && $now != $pid;
	});
	return;
}

sub crash
{
	my ($what, $action) = @_;
	my $broken = start_load($node, 'load', rate => 400);

	under_load($what, sub {
		$action->();
		$broken->{run}->kill_kill;
		wait_for_query($node, 'postgres',
			q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load'}, 0);
	});
	return;
}
