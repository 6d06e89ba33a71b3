# Every SQL function of the extension with arguments at random, in databases of
# several encodings: no call may crash anything or fail in a way that was not
# foreseen, and afterwards messages flow.
#
#	FUZZ_CASES=1000000 FUZZ_SECONDS=600 SEED=1 make test TESTS=t/092_fuzz_functions.pl

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

my $kafka = mock_kafka();
my $node = new_node('main', kafka => $kafka,
	conf => "log_statement = none\nlog_min_messages = log\nlog_min_error_statement = panic\nmax_wal_size = 4GB\n");
foreach my $encoding (@encodings)
{
	$node->safe_psql('postgres', "CREATE DATABASE \L$encoding\E TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql(lc $encoding, 'CREATE EXTENSION eventuate');
	$node->safe_psql(lc $encoding, slurp_file('t/fuzz.sql'));
}

# Two sessions at a time; the same seed, the same cases.
my ($tried, $start) = (0, time);
while ($tried < $cases || time - $start < $seconds)
{
	my @runs = map {
		my $database = lc $encodings[ ($tried / $batch + $_) % @encodings ];
		my %run = (seed => $seed++, database => $database, err => '');
		$run{handle} = IPC::Run::start(
			[
				'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-c',
				"SELECT fuzz.calls($run{seed}, $batch)", '-c', 'DELETE FROM eventuate.message; DELETE FROM eventuate.record'
			],
			'<', \undef, '>', '/dev/null', '2>', \$run{err});
		\%run;
	} 0 .. 1;
	foreach my $run (@runs)
	{
		$run->{handle}->finish or die "seed $run->{seed}, database $run->{database}: $run->{err}\n";
		$tried += $batch;
	}
}
note(sprintf('%d calls in %d s, seeds up to %d', $tried, time - $start, $seed - 1));

foreach my $database (map { lc } @encodings)
{
	note("$database: " . $node->safe_psql($database,
			q{SELECT string_agg(state || ' ' || count, ', ' ORDER BY count DESC) FROM (SELECT state, sum(count) AS count FROM fuzz.results GROUP BY 1) AS t}));
	is($node->safe_psql($database, q{SELECT signature, state, message, statement FROM fuzz.results WHERE state ~ '^(XX|58|53)'}),
		'', "$database: no call fails in a way that was not foreseen");
	# A long run has to have met the good cases, too; one that has written may not wait.
	is($node->safe_psql($database, q{SELECT f.signature FROM fuzz.functions AS f LEFT JOIN fuzz.results AS r USING (signature)
			WHERE f.name NOT LIKE '%eventuate_wait' GROUP BY 1 HAVING coalesce(sum(count) FILTER (WHERE state = 'fine'), 0) = 0}),
		'', "$database: every function was called with success as well") if $tried >= 400_000;

	my $waits = $node->safe_psql($database, "SELECT string_agg(wait || ';', E'\n') FROM fuzz.waits($seed, 100) AS wait");
	$node->psql($database, "SET statement_timeout = 20;\n$waits", on_error_stop => 0, stderr => \my $refused);
	my %refused = map { $_ => 1 } $refused =~ /ERROR:  (.*)/g;
	is(join(', ', sort keys %refused), 'canceling statement due to statement timeout, timeout must not be negative', "$database: eventuate_wait() waits or refuses");

	# Whatever was paused or skipped: what is sent now arrives.  A publisher that
	# has paused knows all that was asked for before; one that streams may be about
	# to begin afresh.
	$node->safe_psql($database, q{SELECT eventuate_pause()});
	wait_for_state($node, $database, 'paused');
	$node->safe_psql($database, q{SELECT eventuate_resume()});
	wait_for_state($node, $database, 'streaming');
	$node->safe_psql($database, qq{SELECT eventuate_send('after_$database', 'x')});
	is(scalar(wait_for_records($kafka, "after_$database", 1)), 1, "$database: messages flow afterwards");
}
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');

done_testing();
