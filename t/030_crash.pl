# Whatever dies: what is committed reaches Kafka, in order; what is not, never.
#
# Clients send in transactions that also write down what they sent, or roll
# back, while publisher, backends and server are killed.  Then the topic is
# read back and compared.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka, restart_after_crash => 1,
	conf => "log_statement = none\nmax_connections = 30\n");
$kafka->create_topic('load', 4);
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{
	CREATE TABLE truth (id text, client int, n serial);
	CREATE TABLE undone (id text);});

my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
open(my $file, '>', $script) or die;
print $file q{
BEGIN;
INSERT INTO truth SELECT eventuate_send('load', 'payload ' || i, 'client ' || :client_id), :client_id FROM generate_series(1, 3) AS i;
SAVEPOINT s;
SELECT eventuate_send('load', 'savepoint', 'client ' || :client_id);
ROLLBACK TO s;
COMMIT;
BEGIN;
SELECT eventuate_send('load', 'rolled back', 'client ' || :client_id);
ROLLBACK;
};
close $file;

# Load that lasts until the server goes away, or until it is stopped.
sub start_pgbench
{
	return IPC::Run::start(
		[
			'pgbench', '-n', '-c', '8', '-j', '2', '-T', '600', '-R', '400', '-f', $script,
			$node->connstr('postgres')
		],
		'<', \undef, '>', \my $out, '2>', \my $err);
}

sub committed { return $node->safe_psql('postgres', 'SELECT count(*) FROM truth'); }

my $rate = 0;

sub under_load
{
	my ($what, $action) = @_;
	my $before = committed();
	my $load = start_pgbench();
	my $start = time;

	wait_until('load', sub { committed() - $before > 500 });
	my $now = (committed() - $before) / (time - $start);
	$rate = $now if $now > $rate;
	$action->();
	$load->kill_kill;
	# A session that has lost its client ends what it is at, and may commit.
	wait_for_query($node, 'postgres',
		q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}, 0);
	wait_for_state($node, 'postgres', 'streaming');
	wait_caught_up($node);
	check($what);
}

my %seen_before;

# Reads the topic back and compares it with what was committed.
sub check
{
	my ($what) = @_;
	my @truth = map { [ split /\|/ ] }
	  split /\n/, $node->safe_psql('postgres', 'SELECT id, client, n FROM truth ORDER BY client, n');
	my %committed = map { $_->[0] => 1 } @truth;
	my (%count, %order, @phantoms);

	foreach my $record (consume($kafka, 'load'))
	{
		my ($id) = $record->{value} =~ /"ID":"([^"]*)"/;
		push @phantoms, $id unless $committed{$id};
		push @{ $order{ $record->{key} } }, $id unless $count{$id}++;
	}
	my @lost = grep { !$count{ $_->[0] } } @truth;
	my $repeated = grep { $_ > 1 } values %count;
	my %expected;
	push @{ $expected{"client $_->[1]"} }, $_->[0] foreach @truth;

	is(scalar @lost, 0, "$what: nothing is lost of " . scalar(@truth));
	is(scalar @phantoms, 0, "$what: nothing appears that was rolled back");
	is_deeply(\%order, \%expected, "$what: each key is in commit order");

	my $new = $repeated - ($seen_before{repeated} || 0);
	$seen_before{repeated} = $repeated;
	note("$what: $new messages came again");
	# 100 ms of traffic and what is not acknowledged; a busy machine may
	# stretch that.
	cmp_ok($new, '<=', 10 + $rate, "$what: few are sent again");
}

under_load('kill -9 of the publisher', sub {
	my $pid = publisher_pid($node);
	kill 'KILL', $pid;
	wait_until('another publisher', sub {
		my $now = Eventuate::ask($node, 'postgres', q{SELECT pid FROM pg_stat_eventuate});
		return defined $now && $now =~ /^\d+$/ && $now != $pid;
	});
});

under_load('kill -9 of a backend', sub {
	my $pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1});
	my $publisher = publisher_pid($node);
	kill 'KILL', $pid;
	wait_until('another publisher', sub {
		my $now = Eventuate::ask($node, 'postgres', q{SELECT pid FROM pg_stat_eventuate});
		return defined $now && $now =~ /^\d+$/ && $now != $publisher;
	});
});

under_load('immediate stop', sub { $node->stop('immediate'); $node->start; });
under_load('restart', sub { $node->restart; });
under_load('terminated publisher', sub {
	my $pid = publisher_pid($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	wait_until('another publisher', sub {
		my $now = Eventuate::ask($node, 'postgres', q{SELECT pid FROM pg_stat_eventuate});
		return defined $now && $now =~ /^\d+$/ && $now != $pid;
	});
});
under_load('broker restarted', sub { $kafka->stop; wait_for_state($node, 'postgres', 'waiting'); $kafka->start; });
under_load('broker killed', sub { $kafka->kill; $kafka->start; });

done_testing();
