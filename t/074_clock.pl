# The server's clock is set back while messages flow: they go on flowing, what
# is published is noted, a publisher that ends is started again, and ids ascend
# over a restart.

use strict;
use warnings;

use lib 't';
use Eventuate;
use PostgreSQL::Test::Utils ();

my ($libfaketime) = glob '/usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1';
die "libfaketime is missing: script/dependencies test\n" unless $libfaketime;
my $file = PostgreSQL::Test::Utils::tempdir() . '/faketime';

# So much is the clock off ("-1d").
sub set_clock
{
	open(my $out, '>', $file) or die "could not write $file: $!";
	print $out "$_[0]\n";
	close($out) or die "could not write $file: $!";
	return;
}

sub with_clock
{
	my ($code) = @_;
	local %ENV = (%ENV, LD_PRELOAD => $libfaketime, FAKETIME_TIMESTAMP_FILE => $file,
		FAKETIME_NO_CACHE => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1);
	return $code->();
}

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, extension => 0, start => 0);
set_clock('+0');
with_clock(sub { $node->start; });
$node->safe_psql('postgres', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

# Now and then while it naps between two batches, which must not last a day.
my $load = start_load($node, 'load', rate => 'full', clients => 2);
foreach my $days (1 .. 8)
{
	set_clock("-${days}d");
	my $messages = stat_of($node, 'messages');
	wait_for_query($node, 'postgres', "SELECT messages > $messages + 200 FROM pg_stat_eventuate");
}
stop_load($load);
wait_caught_up($node);
check_load($node, $kafka, 'load', 'set back', once => 1);

# Not until yesterday has come again does anything else wait.
my $xid = $node->safe_psql('postgres', q{SELECT pg_current_xact_id(), eventuate_send('c', 'noted')}) =~ s/\|.*//r;
wait_for_query($node, 'postgres', "SELECT pg_visible_in_snapshot('$xid', snapshot) FROM eventuate.progress");
foreach my $days (9, 10)
{
	my $pid = publisher_pid($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	set_clock("-${days}d");
	wait_until('another publisher', sub { publisher_pid($node) != $pid });
}
wait_for_state($node, 'postgres', 'streaming');
pass('what is published is noted, and a publisher started again');

# Ids go on where they were, as far as the server can know: it was stopped, not killed.
set_clock('+0');
my $newest = $node->safe_psql('postgres', q{SELECT eventuate_send('c', 'newest')});
$node->stop;
set_clock('-1d');
with_clock(sub { $node->start; });
cmp_ok($node->safe_psql('postgres', q{SELECT eventuate_send('c', 'newer still')}), 'gt', $newest,
	'ids ascend over a restart, too');
$node->stop;

done_testing();
