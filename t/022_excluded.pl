# eventuate.databases: which databases may have a publisher.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka);
my $publishers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'eventuate publisher'};
wait_for_state($node, 'postgres', 'streaming');

# More than once: a launcher that has not heard of the reload yet may start
# another publisher, which then must not stay.
my @expected;
foreach my $i (1 .. 8)
{
	allow('another, "and a third"');
	wait_for_query($node, 'postgres', $publishers, 0);
	wait_for_state($node, 'postgres', 'stopped');
	$node->safe_psql('postgres', "SELECT eventuate_send('excluded', '$i', 'k')");
	is(scalar(consume($kafka, 'excluded')), @expected, "$i: what is not named is not published");
	push @expected, $i;
	allow('another, postgres');
	wait_for_state($node, 'postgres', 'streaming');
	wait_caught_up($node);
}
is_deeply([ map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, 'excluded') ],
	\@expected, 'named again, it is, once and in order');

# The view has a row for it also after a restart, when nobody has looked yet.
allow('another');
wait_for_query($node, 'postgres', $publishers, 0);
$node->restart;
wait_for_state($node, 'postgres', 'stopped');
like(stat_of($node, 'last_error'), qr/not in eventuate.databases/, 'the view says why nothing is published');

done_testing();

sub allow
{
	my ($databases) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET eventuate.databases = '$databases'");
	$node->reload;
}
