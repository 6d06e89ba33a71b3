# Everything dies, again and again, while clients send.  Nothing committed is
# lost, nothing else appears, every key is in order, and little comes twice.
#
#	make torture KILLS=100 SECONDS=600 SEED=1 KAFKA=real|mock CLIENTS=5 FAULTS="slot broker" SEND_MODE=wal
#
# With EXACTLY_ONCE=on nothing comes twice, but after the loss of the slot.
# Without any of these it is a short run on either Kafka.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);
use Torture;

my $long = grep { defined $ENV{$_} } qw(KILLS DURATION SEED KAFKA FAULTS EXACTLY_ONCE);
my $seed = $ENV{SEED} || int(rand 1_000_000) + 1;
my $exactly_once = $ENV{EXACTLY_ONCE} || 'off';
my @kinds = $long ? ($ENV{KAFKA} || 'real') : qw(mock real);

foreach my $kind (@kinds)
{
	my $kafka = $kind eq 'mock' ? mock_kafka() : real_kafka(proxied => 1);
	my $node = new_node(
		$kind,
		kafka => $kind eq 'mock' ? $kafka : $kafka->proxy,
		restart_after_crash => 1,
		# So that a frozen broker is given up now and then.
		properties => 'socket.timeout.ms=3000',
		conf => 'eventuate.send_mode = ' . ($ENV{SEND_MODE} || "'table'") . "\neventuate.exactly_once = $exactly_once\nlog_statement = none\nmax_connections = 50\nmax_prepared_transactions = 50\n"
		  . "max_wal_size = 64MB\nwal_keep_size = 256MB\nautovacuum_naptime = 5s\n");
	wait_for_state($node, 'postgres', 'streaming');

	my $torture = Torture->new(
		node => $node,
		kafka => $kafka,
		seed => $seed,
		exactly_once => $exactly_once eq 'on',
		clients => $ENV{CLIENTS} || 5,
		standby => !$ENV{FAULTS} || $ENV{FAULTS} =~ /promote|standby/);
	my $start = time;
	my $figures = eval {
		$torture->begin;
		$torture->break_things(
			$ENV{FAULTS} ? (only => [ split ' ', $ENV{FAULTS} ]) : (),
			$long ? () : (must => [qw(reset promote)]),
			kills => $ENV{KILLS} || ($long ? 100 : 12),
			seconds => $ENV{DURATION} || ($long ? 600 : 12));
		$torture->settle;
		Torture::Check::check($torture->evidence);
	};
	if (!$figures)
	{
		my $error = $@;
		diag("seed $seed, $kind Kafka: $error");
		die $error;
	}

	note(Torture::Check::summary($figures, seed => $seed, kafka => $kind, seconds => int(time - $start),
			reset => $torture->{reset}, unanswered => $torture->{unanswered}));
	note($_) foreach @{ $figures->{list} || [] };
	is($figures->{$_}, 0, "$kind Kafka: $_") foreach qw(lost phantom reordered damaged excess overlap);
	is(scalar @{ $figures->{problems} }, 0, "$kind Kafka: nothing else is wrong")
	  or diag(join("\n", "seed $seed, $kind Kafka; what was seen is in $torture->{directory}", @{ $figures->{problems} }));
	cmp_ok($figures->{messages}, '>', 100, "$kind Kafka: there was something to lose");
	$torture->stop_servers;
	$kafka->kill;
}

done_testing();
