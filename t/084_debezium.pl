# Rows of tables for Debezium's outbox event router: what we make of them is
# what Debezium makes of them, byte for byte, in the same partitions.  Both read
# the same rows, and publish to a Kafka each.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $theirs = real_kafka();
my $ours = mock_kafka();
my $node = new_node(
	'main',
	kafka => $ours,
	conf => "listen_addresses = '127.0.0.1'\nmax_connections = 60\n");

# What becomes of the rows of a table in
#	topics			those of the records
# with
#	attach			further arguments of eventuate_attach()
#	router			properties of the event router
#	properties		others of the connector's
#	timed			whether the records' timestamps are the rows'
my %case = (
	defaults => {
		table => 'id uuid PRIMARY KEY, aggregatetype varchar(255), aggregateid varchar(255), type varchar(255), payload text',
		rows => q{
			('406c07f3-26f0-4eea-a50c-109940064b8f', 'order', '1', 'created', '{"a":  1}'),
			('406c07f3-26f0-4eea-a50c-109940064b90', 'order', '2', NULL, 'é " \ ' || chr(1) || chr(128512)),
			('406c07f3-26f0-4eea-a50c-109940064b91', 'order', '1', 'emptied', ''),
			('406c07f3-26f0-4eea-a50c-109940064b92', 'order', '1', 'deleted', NULL),
			('406c07f3-26f0-4eea-a50c-109940064b93', 'order', 'é', 'blank', '  '),
			('406c07f3-26f0-4eea-a50c-109940064b94', 'order', '', 'with an empty key', 'x'),
			('406c07f3-26f0-4eea-a50c-109940064b95', '', '3', 'without a type', 'x')},
		topics => [ 'outbox.event.order', 'outbox.event.' ],
	},
);

my @connectors;
foreach my $name (sort keys %case)
{
	my $case = $case{$name};
	my %router = %{ $case->{router} || {} };

	$node->safe_psql('postgres', qq{
		CREATE TABLE $name ($case->{table});
		SELECT eventuate_attach('$name', 'debezium'@{[ map { ", $_" } $case->{attach} || () ]})});
	push @connectors,
	  Eventuate::Connect::router(
		$node, 'postgres', "public.$name",
		'name' => $name,
		'extended.headers.enabled' => 'false',
		%{ $case->{properties} || {} },
		map { ("transforms.outbox.$_" => $router{$_}) } keys %router);
}
my $connect = kafka_connect($theirs, @connectors);
$connect->wait_until_streaming($node);
wait_for_state($node, 'postgres', 'streaming');

# Only what is inserted counts.
$node->safe_psql('postgres', "INSERT INTO $_ VALUES $case{$_}{rows}; UPDATE $_ SET payload = NULL; DELETE FROM $_")
  foreach sort keys %case;
wait_caught_up($node);

sub records
{
	my ($kafka, $case, $topic, $count) = @_;
	return map {
		[
			"partition $_->{partition}", $_->{key}, $_->{value}, $_->{headers},
			$case->{timed} ? $_->{ts} : ()
		]
	} $count ? wait_for_records($kafka, $topic, $count) : consume($kafka, $topic);
}

foreach my $name (sort keys %case)
{
	foreach my $topic (@{ $case{$name}{topics} })
	{
		my @ours = records($ours, $case{$name}, $topic);
		my @theirs = records($theirs, $case{$name}, $topic, scalar @ours);
		ok(@ours > 0, "$name: there are records in $topic");
		is_deeply(\@ours, \@theirs, "$name: they are the same");
	}
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM eventuate.dead_letter'), 0, 'all was published');

done_testing();
