# With eventuate.exactly_once: a broker says of a record that it has it already,
# which it has not.  The transaction must not be committed without it, since a
# position goes with it.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
$kafka->create_topic($_, 1) foreach 'topic', 'eventuate_positions';
my $node = new_node('main', kafka => $kafka, conf => "eventuate.exactly_once = on\n");
wait_for_state($node, 'postgres', 'streaming');

# DUPLICATE_SEQUENCE_NUMBER: librdkafka takes the record for stored.
$kafka->command('error 0 46 1');
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'first', 'k')});
wait_caught_up($node);
like(slurp_file($node->logfile), qr/is aborted and tried again: it lacks a record\n.* DETAIL:  It has 1 record\./, 'the transaction is not committed');
$node->safe_psql('postgres', q{SELECT eventuate_send('topic', 'second', 'k')});
wait_caught_up($node);
is_deeply([ (payloads())[ -2, -1 ] ], [ 'first', 'second' ], 'and arrives, before what follows');

done_testing();

sub payloads
{
	return map { $_->{value} =~ /"payload":"([^"]*)"/ } consume($kafka, 'topic');
}
