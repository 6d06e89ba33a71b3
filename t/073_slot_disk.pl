# Nothing can be written to the slot's directory, as if its disk were full:
# the publisher tries again and again, no message is lost, and nobody has to
# help afterwards.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, restart_after_crash => 1);
wait_for_state($node, 'postgres', 'streaming');
prepare_load($node);
my ($directory) = glob($node->data_dir . '/pg_replslot/eventuate_*');

my $load = start_load($node, 'load');
wait_for_query($node, 'postgres', 'SELECT messages > 100 FROM pg_stat_eventuate');
my $position = log_position($node);
chmod 0500, $directory or die "could not chmod $directory: $!";
wait_for_query($node, 'postgres', q{SELECT last_error LIKE 'could not create file "pg_replslot/%' FROM pg_stat_eventuate});
wait_for_log($node, qr/(ERROR: .*could not create file "pg_replslot.*){4}/s, $position);
my $sent = load_sent($node, 'load');
wait_until('messages', sub { load_sent($node, 'load') > $sent + 100 });
pass('senders do not notice');
chmod 0700, $directory;
wait_for_state($node, 'postgres', 'streaming');
stop_load($load);
wait_caught_up($node);

check_load($node, $kafka, 'load', 'written again');
unlike(slurp_file($node->logfile), qr/terminating any other active server processes/, 'the server has not crashed');

done_testing();
