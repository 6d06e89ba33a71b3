# Rows at random, written straight into the outboxes: what the plugin says of
# each is what PostgreSQL's own JSON finds in it, and the publisher brings all
# of them away, to Kafka or to the dead letters.
#
#	FUZZ_CASES=1000000 FUZZ_SECONDS=600 SEED=1 make test TESTS=t/093_fuzz_rows.pl

use strict;
use warnings;

use lib 't';
use Eventuate;
use Time::HiRes qw(time);

my $cases = $ENV{FUZZ_CASES} || 4000;
my $seconds = $ENV{FUZZ_SECONDS} || 0;
my $seed = $ENV{SEED} || 1;
my @encodings = qw(UTF8 LATIN1 SQL_ASCII EUC_JP);
my $batch = 1000;
my ($tried, $start) = (0, time);
my %checked;

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	conf => "log_statement = none\nmax_wal_size = 4GB\neventuate.refusal_grace = 0\n");
foreach my $encoding (@encodings)
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION eventuate');
	$node->safe_psql($database, slurp_file('t/fuzz.sql'));
	wait_for_state($node, $database, 'streaming');
	$checked{$database} = 0;
}

while ($tried < $cases || time - $start < $seconds)
{
	my $database = lc $encodings[ $tried / $batch % @encodings ];
	my $name = "seed $seed, database $database";

	# A slot of one database stands in the way of no other.
	$node->safe_psql($database, q{SELECT pg_create_logical_replication_slot('fuzz', 'eventuate')});
	eval {
		$node->safe_psql($database, "SELECT fuzz.rows($seed, $batch)");
		$checked{$database} += $node->safe_psql($database, 'SELECT fuzz.check_rows()');
		wait_caught_up($node, $database);
		1;
	} or die "$name: $@";
	$node->safe_psql($database, q{SELECT pg_drop_replication_slot('fuzz')});
	$tried += $batch;
	$seed++;
}
note(sprintf('%d rows in %d s, seeds up to %d', $tried, time - $start, $seed - 1));

foreach my $database (sort keys %checked)
{
	is(stat_of($node, 'messages + dead_letters', $database), $checked{$database}, "$database: every row arrives or is a dead letter");
	note("$database: " . stat_of($node, q{messages || ' messages, ' || dead_letters || ' dead letters'}, $database));
	is($node->safe_psql($database, 'SELECT count(*) FROM (SELECT d::text FROM eventuate.dead_letter AS d OFFSET 0) AS t'),
		stat_of($node, 'dead_letters', $database), "$database: dead letters can be read");
}
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP|exited with exit code [^0]/, 'nothing has crashed');

done_testing();
