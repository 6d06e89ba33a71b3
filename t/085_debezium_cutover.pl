# From Debezium's outbox event router to here and back, while applications
# write: nothing is missing, each key keeps its order, and on the way here
# nothing comes twice.  The steps are those of doc/migrating.md.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka, conf => "listen_addresses = '127.0.0.1'\nmax_connections = 60\n");
my @clients = (1 .. 3);

$node->safe_psql('postgres', q{
	CREATE TABLE outbox (
		id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text DEFAULT 'order', aggregateid text, type text,
		payload text);
	CREATE PUBLICATION debezium FOR TABLE outbox;
	CREATE TABLE go_on ();
	CREATE TABLE written (client text, rows int);});

sub connect_debezium
{
	my $connect = kafka_connect($kafka, Eventuate::Connect::router($node, 'postgres', 'public.outbox',
		'name' => 'debezium', 'publication.autocreate.mode' => 'disabled'));
	$connect->wait_until_streaming($node);
	return $connect;
}

# Each client numbers its rows, which it deletes at once, until told to stop.
my $connect = connect_debezium();
wait_for_state($node, 'postgres', 'streaming');
my @running = map {
	IPC::Run::start(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', qq{
			DO \$\$ DECLARE n int := 0; BEGIN
				WHILE to_regclass('go_on') IS NOT NULL LOOP
					n := n + 1;
					INSERT INTO outbox (aggregateid, payload) VALUES ('$_', n);
					DELETE FROM outbox WHERE aggregateid = '$_';
					COMMIT;
					PERFORM pg_sleep(0.005);
				END LOOP;
				INSERT INTO written VALUES ('$_', n);
			END \$\$} ])
} @clients;

sub wait_for_events
{
	wait_for_records($kafka, 'outbox.event.order', 100 + consume($kafka, 'outbox.event.order'));
}

# By client: the numbers as they came.
sub received
{
	my %numbers;
	push @{ $numbers{ $_->{key} } }, $_->{value} foreach consume($kafka, 'outbox.event.order');
	return \%numbers;
}

# To here: rows wait until all that is Debezium's is on Kafka.
wait_for_events();
$node->safe_psql('postgres', q{
	SELECT eventuate_pause();
	BEGIN;
	LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE;
	INSERT INTO outbox (aggregatetype, payload) VALUES ('cutover', 'Debezium has published everything before this');
	SELECT eventuate_attach('outbox', 'debezium');
	ALTER PUBLICATION debezium DROP TABLE outbox;
	COMMIT;});
is(scalar wait_for_records($kafka, 'outbox.event.cutover', 1), 1, 'all that was written before is published');
$node->safe_psql('postgres', 'SELECT eventuate_resume()');
wait_for_events();
my %received = %{ received() };
foreach my $client (@clients)
{
	my @numbers = @{ $received{$client} };
	is_deeply(\@numbers, [ 1 .. @numbers ], "client $client: each once and in order on the way here");
}
is(scalar consume($kafka, 'outbox.event.cutover'), 1, 'no row is published by both');
$connect->stop;

# And back: Debezium begins when all that is ours is on Kafka.
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT eventuate_detach('outbox');
	ALTER PUBLICATION debezium ADD TABLE outbox;
	COMMIT;});
wait_caught_up($node);
my $messages = stat_of($node, 'messages');
$connect = connect_debezium();
wait_for_events();
$node->safe_psql('postgres', 'DROP TABLE go_on');
$_->finish foreach @running;

# Debezium itself may repeat what it published before it was stopped.
foreach my $client (@clients)
{
	my $rows = $node->safe_psql('postgres', "SELECT rows FROM written WHERE client = '$client'");
	my @numbers;
	wait_until("row $rows of client $client", sub {
		@numbers = @{ received()->{$client} };
		$Eventuate::seen = $numbers[-1];
		return $numbers[-1] == $rows;
	});
	my $next = 1;
	is_deeply([ grep { $_ >= $next ? ($next = $_ + 1) : 0 } @numbers ],
		[ 1 .. $rows ], "client $client: all are there and in order on the way back");
}
is(stat_of($node, 'messages'), $messages, 'no row of a table that was detached is published');

done_testing();
