# The server's clock is set back while messages flow: they go on flowing, what
# is published is noted, a publisher that ends is started again, and ids ascend
# over a restart.

use strict;
use warnings;

use lib 't';
use Eventuate;
use PostgreSQL::Test::Utils ();

# PostgreSQL's time of day, off by as many seconds as a file says; unlike
# libfaketime's it moves in workers that run already.
my $directory = PostgreSQL::Test::Utils::tempdir();

sub write_file
{
	my ($name, $contents) = @_;
	open(my $out, '>', "$directory/$name") or die "could not write $name: $!";
	print $out $contents;
	close($out) or die "could not write $name: $!";
	return;
}

write_file('clock.c', q{
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int gettimeofday(void *result, void *zone)
{
	struct timespec now;
	char text[32] = "";
	int file = open(getenv("CLOCK_FILE"), O_RDONLY | O_CLOEXEC);
	if (file >= 0 && read(file, text, sizeof(text) - 1) >= 0) close(file);
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	((long *) result)[0] = now.tv_sec + atol(text);
	((long *) result)[1] = now.tv_nsec / 1000;
	return 0;
}
time_t time(time_t *result)
{
	long now[2];
	gettimeofday(now, NULL);
	return result ? (*result = now[0]) : now[0];
}});
PostgreSQL::Test::Utils::system_or_bail('cc', '-shared', '-fPIC', '-o', "$directory/clock.so", "$directory/clock.c");

# Days from now.
sub set_clock { return write_file('clock', 86400 * $_[0]); }

sub with_clock
{
	my ($code) = @_;
	local $ENV{LD_PRELOAD} = "$directory/clock.so";
	local $ENV{CLOCK_FILE} = "$directory/clock";
	return $code->();
}

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, extension => 0, start => 0);
set_clock(0);
with_clock(sub { $node->start; });
$node->safe_psql('postgres', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);

# Now and then while it naps between two batches, which must not last a day.
my $load = start_load($node, 'load', rate => 'full', clients => 8);
foreach my $days (1 .. 8)
{
	set_clock(-$days);
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
	set_clock(-$days);
	wait_until('another publisher', sub { publisher_pid($node) != $pid });
}
wait_for_state($node, 'postgres', 'streaming');
pass('what is published is noted, and a publisher started again');

# Ids go on where they were, as far as the server can know: it was stopped, not killed.
set_clock(0);
my $newest = $node->safe_psql('postgres', q{SELECT eventuate_send('c', 'newest')});
$node->stop;
set_clock(-1);
with_clock(sub { $node->start; });
cmp_ok($node->safe_psql('postgres', q{SELECT eventuate_send('c', 'newer still')}), 'gt', $newest,
	'ids ascend over a restart, too');

# libc's waits may know the true time only, also those on the way out.
set_clock(0);
$node->stop;

done_testing();
