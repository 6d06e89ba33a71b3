# What a message costs in machine instructions, which are counted, not timed:
# from WAL to the record, written as text.  A change that makes it dearer has
# to say so here.

use strict;
use warnings;

use lib 't';
use Eventuate;

plan(skip_all => 'a sanitizer has instructions of its own') if sanitized();

# For a row with a payload of 300 bytes and five headers, besides what
# PostgreSQL needs to decode it.
my $known = 12_500;
my $rows = 2000;
my $node = new_node('main');

# Rows in transactions of their own, in an outbox or in another table; returns
# the query that decodes them, and nothing else.
sub decode_rows
{
	my ($table, $slot) = @_;

	$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('$slot', 'eventuate')");
	$node->safe_psql('postgres', qq{
		DO \$\$ BEGIN FOR i IN 1..$rows LOOP
			INSERT INTO $table (id, destination, headers, payload)
			VALUES (eventuate.next_id(), 'orders',
				'{"type":"OrderCreated","PARTITION_ID":"42","DATE":"Sun, 22 Nov 2026 23:00:00 GMT","DESTINATION":"orders","ID":"0000019f2c3d4e5f-ab0000000000cdef"}',
				'{"note": "' || repeat('x', 288) || '"}');
			COMMIT;
		END LOOP; END \$\$});
	my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	return "SELECT 'rows=' || count(*) FROM pg_logical_slot_peek_changes('$slot', '$end', NULL)";
}

# Instructions of a server that has only this to do.
sub instructions_of
{
	my ($query, $expected) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			'valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null',
			$node->installed_command('postgres'), '--single', '-D', $node->data_dir, 'postgres'
		],
		'<', \"$query\n", '>', \$out, '2>', \$err) or die "valgrind: $err\n";
	like($out, qr/"rows=$expected"/, "decodes $expected messages");
	return $err =~ /Collected : (\d+)/ ? $1 : die $err;
}

$node->safe_psql('postgres', 'CREATE TABLE other (LIKE eventuate.message INCLUDING ALL)');
my $of_other = decode_rows('other', 'other');
my $of_outbox = decode_rows('eventuate.message', 'outbox');
$node->stop;
my $nothing = instructions_of(q{SELECT 'rows=0'}, 0);
my $other = instructions_of($of_other, 0);
my $outbox = instructions_of($of_outbox, $rows);

my $decoded = ($other - $nothing) / $rows;
my $ours = ($outbox - $other) / $rows;
note(sprintf('%.0f instructions a row that is not ours, %.0f more for a message', $decoded, $ours));
cmp_ok($ours, '<', $known * 1.1, 'a message costs no more than it did');
cmp_ok($ours, '>', $known * 0.5, 'nor so much less that the limit says nothing');
done_testing();
