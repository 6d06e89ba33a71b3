# What "make demo" shows; script/demo prepares it.

use strict;
use warnings;

# The terminal: the test harness keeps the usual output for its log.
my $terminal;
BEGIN { open($terminal, '>&', \*STDOUT) or die; $terminal->autoflush(1); }

use Eventuate;

$Eventuate::timeout = 30;

my $bold = -t $terminal ? "\e[1m" : '';
my $plain = -t $terminal ? "\e[0m" : '';
my $kafka =
    $ENV{BROKERS} ? bless({ brokers => $ENV{BROKERS} }, 'Eventuate::Broker')
  : ($ENV{KAFKA} // '') eq 'real' ? real_kafka()
  : mock_kafka();
my $what =
    $ENV{BROKERS} ? 'your Kafka'
  : ($ENV{KAFKA} // '') eq 'real' ? 'a Kafka of its own'
  : 'a mock of Kafka';
my $failure;
my $node = new_node('demo', kafka => $kafka, extension => 0, conf => 'log_statement = none');

sub headline
{
	print $terminal "\n$bold-- $_[0]$plain\n";
	return;
}

# Show what is run, and run it.
sub psql
{
	my ($sql) = @_;

	$sql =~ s/\s+$//;
	foreach my $statement (split /\n\n/, $sql)
	{
		my $output = '';
		IPC::Run::run(
			[ 'psql', '-Xaq', '-v', 'ON_ERROR_STOP=1', '-P', 'footer=off', '-d', $node->connstr('postgres') ],
			'<', \"$statement\n", '>&', \$output) or die $output;
		$output =~ s/\s+$//;
		print $terminal "$output\n";
	}
	return;
}

sub kcat
{
	my ($topic) = @_;
	my @command = ('kcat', '-C', '-e', '-q', '-b', $kafka->brokers, '-t', $topic);
	# Where there has been a demo before, only its last record.
	my @from = $ENV{BROKERS} ? ('-o', '-1') : ();
	my $output = '';

	print $terminal "\$ @command\n";
	IPC::Run::run(
		[ 'timeout', 60, @command, @from, '-f', "key %k, partition %p, headers [%h]:\n%s\n" ],
		'<', \undef, '>&', \$output) or die $output;
	$output =~ s/\s+$//;
	print $terminal "$output\n\n";
	return;
}

headline("PostgreSQL with $what at " . $kafka->brokers);
my %shown;
print $terminal map { "$_\n" }
  grep { /^(wal_level|shared_preload_libraries|eventuate)/ && !$shown{$_}++ }
  split /\n/, slurp_file($node->data_dir . '/postgresql.conf');

headline('A message is sent in the transaction that changes the data');
psql(<<'END');
CREATE EXTENSION eventuate;
CREATE TABLE orders (id int PRIMARY KEY, total numeric);

BEGIN;
INSERT INTO orders VALUES (1, 9.99);
SELECT eventuate_send('demo.orders', '{"order": 1, "total": 9.99}', key => 'customer-7');
COMMIT;
END

headline('What is rolled back is never published');
psql(<<'END');
BEGIN;
INSERT INTO orders VALUES (2, 1000000);
SELECT eventuate_send('demo.orders', '{"order": 2, "total": 1000000}', key => 'customer-7');
ROLLBACK;
END

headline('Any Kafka record, with a key and headers of its own');
psql(<<'END');
SELECT eventuate_produce('demo.prices', '1.08', key => 'EUR/USD', headers => '{"source": "demo"}');
END

eval { wait_caught_up($node); 1 } or do { $failure = $@; exit 1 };

headline('What consumers see');
kcat('demo.orders');
kcat('demo.prices');

headline('How far publishing is');
psql(<<'END');
SELECT state, messages, bytes, in_flight, lag_bytes FROM pg_stat_eventuate \gx
END

print $terminal "\nThat was all: PostgreSQL " . ($ENV{BROKERS} ? '' : "and $what ") . "and their files are gone again.\n";
END
{
	print $terminal "\nThe demo failed. ", $failure // '', "The server's last words:\n",
	  slurp_file($node->logfile) =~ /((?:.*\n){0,10})\z/
	  if $? && $node;
}
