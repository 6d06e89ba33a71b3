# A slot becomes consistent only when all transactions that were running have
# ended.  What is sent meanwhile is published from the tables, once.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka, extension => 0);

# A transaction that has written something, in another database, and a
# prepared one: both are older than the extension.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('postgres', 'CREATE TABLE t (i int)');
my $long = $node->background_psql('other');
$long->query_safe('BEGIN; CREATE TABLE old (i int)');
$node->safe_psql('postgres',
	q{BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'orphan'});

$node->safe_psql('postgres', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'postgres', 'recovering');
wait_for_query($node, 'postgres',
	q{SELECT last_error LIKE 'the replication slot waits for transaction % to end%' FROM pg_stat_eventuate});

# Sent before the slot is there: by commit, by 2PC, under a savepoint, and by
# a transaction that stays open.
my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT eventuate_send('birth', 'open', 'k')});
$node->safe_psql('postgres', q{SELECT eventuate_send('birth', 'one', 'k')});
$node->safe_psql('postgres',
	q{BEGIN; SELECT eventuate_send('birth', 'prepared', 'k'); PREPARE TRANSACTION 'late'});
$node->safe_psql('postgres',
	q{BEGIN; SAVEPOINT s; SELECT eventuate_send('birth', 'two', 'k'); RELEASE s;
	  SAVEPOINT s; SELECT eventuate_send('birth', 'undone', 'k'); ROLLBACK TO s; COMMIT});
$node->safe_psql('postgres', q{SELECT eventuate_produce('birth', 'three', 'k')});

my @records = wait_for_records($kafka, 'birth', 3);
is_deeply([ payloads_of(@records) ], [qw(one two three)],
	'messages go out while the slot waits, by id');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL}),
	0, 'and the slot is not there yet');

# What began meanwhile commits before, or after, the slot is consistent.
$node->safe_psql('postgres', q{COMMIT PREPARED 'late'});
wait_for_records($kafka, 'birth', 4);
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'orphan'});
$long->query_safe('COMMIT');
$long->quit;
$node->safe_psql('postgres', q{SELECT eventuate_send('birth', 'four', 'k')});
wait_for_records($kafka, 'birth', 5);
$open->query_safe('COMMIT');
$open->quit;

wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('birth', 'five', 'k')});
wait_caught_up($node);
is_deeply(
	[ payloads_of(consume($kafka, 'birth')) ],
	[qw(one two three prepared four open five)],
	'nothing is lost and nothing comes twice');

# The slot's loss is the same case.
$node->safe_psql('postgres', q{SELECT eventuate_pause()});
wait_for_state($node, 'postgres', 'paused');
$node->safe_psql('postgres', q{SELECT eventuate_send('lost', 'a', 'k')});
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot(slot_name) FROM pg_stat_eventuate});
$node->safe_psql('postgres', q{SELECT eventuate_send('lost', 'b', 'k')});
$node->safe_psql('postgres', q{SELECT eventuate_resume()});
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', q{SELECT eventuate_send('lost', 'c', 'k')});
wait_caught_up($node);
is_deeply([ payloads_of(consume($kafka, 'lost')) ], [qw(a b c)],
	'a lost slot loses no message');

done_testing();
