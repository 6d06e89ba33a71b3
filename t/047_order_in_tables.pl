# Rows that are read from a table go in the order in which they were inserted,
# as far as the table tells: by an id that grows, or by transaction and place.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $node = new_node('main');

sub run { return $node->safe_psql('postgres', $_[0]); }

# Publishes what is in a table; returns what is out of place.
sub misplaced
{
	my ($table) = @_;
	run("SELECT eventuate_attach('$table', 'raw', publish_existing => true)");
	return run(qq{SELECT count(*) FILTER (WHERE n < before) || ' of ' || count(*) FROM (
		SELECT n, lag(n) OVER (ORDER BY id) AS before FROM (
			SELECT id, convert_from(value, 'UTF8')::int AS n FROM eventuate.record WHERE topic = '$table') AS r) AS o});
}

# Nothing but time and place, while others use up transaction ids.
run(q{CREATE TABLE placed (topic text DEFAULT 'placed', value text)});
foreach my $first (1, 20001)
{
	run("INSERT INTO placed (value) SELECT n FROM generate_series($first, $first + 19999) AS n");
}
my $others = $node->background_psql('postgres', on_error_stop => 0);
$others->query_until(qr/begun/, qq{\\echo begun
DO \$\$ BEGIN LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END \$\$;
});
wait_for_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %'}, 1);
is(misplaced('placed'), '0 of 40000', 'by transaction and place, whatever others do');
run(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'});
$others->quit;

# A sequence that begins below zero.
run(q{CREATE TABLE numbered (id int, topic text DEFAULT 'numbered', value text);
	INSERT INTO numbered (id, value) SELECT n, n FROM generate_series(3, -3, -1) AS n});
is(misplaced('numbered'), '0 of 7', 'by number, also below zero');

done_testing();
