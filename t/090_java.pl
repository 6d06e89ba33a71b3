# Real services on Eventuate Tram, the newest version and the oldest, on tables
# of ours, on tables of theirs, and on shards with ids of the database: what
# they send and what SQL sends reaches the handlers of each of them, and answers
# find their way back.

use strict;
use warnings;

use lib 't';
use Eventuate;
use Tram;

# Tram 0.27 finds its tables only where the database is called like the schema.
my $kafka = real_kafka();
my %node;
foreach my $tables (qw(own adopted))
{
	my $node = $node{$tables} = new_node($tables, kafka => $kafka, extension => 0,
		conf => "listen_addresses = '127.0.0.1'\nmax_connections = 60\n");
	$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE eventuate');
	create_tram_outbox($node, 'eventuate') if $tables eq 'adopted';
	$node->safe_psql('eventuate', 'CREATE EXTENSION eventuate; GRANT INSERT ON eventuate.message TO app');
	create_tram_tables($node, 'eventuate', 'eventuate', 'app');
}
create_tram_shards($node{own}, 'eventuate', 'shards', 'app', 4, 7);
create_tram_tables($node{own}, 'eventuate', 'shards', 'app');
my %service = tram_services(
	$kafka,
	map { +{ node => $node{own}, database => 'eventuate', user => 'app', tram => $_->{name} =~ /^(\w+)/, %$_ } } (
		# What locks needs autosave: Tram goes on after an INSERT that has failed.
		{ name => 'newest-own', url => '&autosave=always' },
		{ name => 'oldest-own', url => '&autosave=always' },
		{ name => 'newest-adopted', node => $node{adopted} },
		{ name => 'oldest-adopted', node => $node{adopted} },
		{
			name => 'newest-shards',
			properties => [
				'eventuate.database.schema=shards', 'eventuate.outbox.id=7',
				'eventuate.tram.outbox.partitioning.outbox.tables=4',
				'eventuate.tram.outbox.partitioning.message.partitions=2'
			]
		}));
my @services = sort keys %service;

sub sql
{
	my ($tables, $query) = @_;
	return $node{$tables}->safe_psql('eventuate', $query, extra_params => [ '-U', 'app' ]);
}

# ---------------------------------------------------------------------
# Domain events: all consume what each has published, and SQL, and a producer
# of Tram 0.24
# ---------------------------------------------------------------------
my %events;
foreach my $name (@services)
{
	$service{$name}->order('publish', $name, $_, 5) foreach 0, 5;
	$service{$name}->order('fail');
	$events{$name} = [ map { "$_|é \"$name\"|t-" . ($_ < 5 ? 0 : 5) } 0 .. 9 ];
}
foreach my $tables (sort keys %node)
{
	sql($tables, qq{
		SELECT eventuate_publish('test.Order', 'sql-$tables', 'eventuate.test.OrderCreated',
			jsonb_build_object('number', n, 'note', E'\\u00e9 "\\\\\\\\'), '{"trace": "sql"}')
		FROM generate_series(0, 9) AS n;});
	$events{"sql-$tables"} = [ map { "$_|é \"\\\\|sql" } 0 .. 9 ];

	sql($tables, qq{
		INSERT INTO eventuate.message(id, destination, headers, payload, creation_time)
		SELECT id, 'test.Order', format('{"PARTITION_ID":"old-$tables","event-aggregate-type":"test.Order",'
				'"DATE":"Tue, 7 Apr 2020 01:02:03 GMT","event-aggregate-id":"old-$tables",'
				'"event-type":"eventuate.test.OrderCreated","DESTINATION":"test.Order","ID":"%s"}', id),
			format('{"number":%s,"note":"old"}', n), ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000)
		FROM generate_series(0, 9) AS n, format('0000018bcfe5687b-$tables-%s', n) AS id});
	$events{"old-$tables"} = [ map { "$_|old|" } 0 .. 9 ];
}
my @records = wait_for_records($kafka, 'test.Order', 10 * keys %events);
is(scalar @records, 10 * keys %events, 'each event is published once');
foreach my $name (@services)
{
	$service{$name}->wait_for("event|$_|9") foreach keys %events;
	my %received;
	push @{ $received{ $_->[0] } }, $_->[1] foreach map { /^event\|([^|]*)\|(.*)/ ? [ $1, $2 ] : () } $service{$name}->said;
	is_deeply(\%received, \%events, "$name: each event comes once, those of an aggregate in order");
}

# ---------------------------------------------------------------------
# Commands: from Java to Java, from SQL to Java, from Java to SQL
# ---------------------------------------------------------------------
my $replies = 0;
foreach my $i (0 .. $#services)
{
	my ($name, $other) = @services[ $i, $i - 1 ];
	my $java = $service{$name};
	my ($id, @received);

	$java->order('command', "commands-$other", 100 + $i);
	($id) = $java->wait_for('sent') =~ /\|(.*)/;
	is($java->wait_for("reply|$id"),
		"reply|$id|SUCCESS|eventuate.test.Reserved|{\"amount\":" . (100 + $i) . ',"path":"7"}',
		"$name: $other answers its command");

	$id = sql('adopted', qq{SELECT eventuate_send_command('commands-$name', 'eventuate.test.Reserve', '{"amount": 2000}',
		'sql-replies', '/customers/8')});
	@received = wait_for_records($kafka, 'sql-replies', ++$replies);
	($_) = grep { index($_->{value}, $id) >= 0 } @received or die "no reply to $id";
	my $reply = JSON::PP::decode_json($_->{value});
	is($reply->{payload}, '{"amount":2000,"path":"8"}', "$name: it answers a command of SQL");
	is_deeply(
		{ map { ($_ => $reply->{headers}{$_}) } grep { /reply/ } keys %{ $reply->{headers} } },
		{
			'reply_to_message_id' => $id,
			'reply_outcome-type' => 'FAILURE',
			'reply_type' => 'eventuate.test.Reserved',
			'commandreply_type' => 'eventuate.test.Reserve',
			'commandreply_resource' => '/customers/8',
			'commandreply_reply_to' => 'sql-replies',
			'commandreply__destination' => "commands-$name"
		},
		"$name: with everything a reply has");
}

# ---------------------------------------------------------------------
# Sagas: a participant in Java, then one in SQL
# ---------------------------------------------------------------------
sub answer
{
	my ($record, $outcome, $headers) = @_;
	my $value = $record->{value} =~ s/'/''/gr;
	sql('own', qq{
		SELECT eventuate_reply('$value'::jsonb->'headers', '$outcome',
			'io.eventuate.tram.commands.common.' || initcap('$outcome'), '{}', '$headers')});
	return;
}

$service{$_}->order('saga', 1), $service{$_}->order('saga', 2) foreach @services;
foreach my $record (wait_for_records($kafka, 'sql-participant', 2 * @services))
{
	my $command = JSON::PP::decode_json(JSON::PP::decode_json($record->{value})->{payload});
	answer($record, $command->{order} == 1 ? 'SUCCESS' : 'FAILURE', '{}');
}
foreach my $name (@services)
{
	my $java = $service{$name};

	$java->wait_for('saga accepted');
	$java->wait_for('saga rejected');
	is_deeply([ sort grep { /^saga/ } $java->said ],
		[ sort('saga created|1', 'saga created|2', 'saga reserve|1', 'saga reserve|2', 'saga release|2',
			'saga accepted|1', 'saga rejected|2') ],
		"$name: a saga goes to its end, another back");
}

# ---------------------------------------------------------------------
# Sagas with locks: of two that want the same customer the second is stashed
# until the first unlocks; what SQL says it has locked SQL is told to unlock
# ---------------------------------------------------------------------
my @locking = qw(newest-own oldest-own);

# The commands to confirm and those to unlock
sub sql_locks
{
	my ($confirm, $unlock) = @_;
	my %commands = (Confirm => [], SagaUnlockCommand => []);
	foreach my $record (wait_for_records($kafka, 'sql-locks', $confirm + $unlock))
	{
		my $headers = JSON::PP::decode_json($record->{value})->{headers};
		push @{ $commands{ $headers->{command_type} =~ s/.*\.//r } }, { %$record, resource => $headers->{command_resource} };
	}
	return @commands{qw(Confirm SagaUnlockCommand)};
}

$service{$_}->order('lock', 1) foreach @locking;
my ($first) = sql_locks(2, 0);
$service{$_}->order('lock', 2) foreach @locking;
wait_for_query($node{own}, 'eventuate', 'SELECT count(*) = 2 FROM eventuate.saga_stash_table');
answer($_, 'SUCCESS', '{"saga-locked-target": "shelf/1"}') foreach @$first;
my ($both) = sql_locks(4, 2);
my %answered = map { ($_->{key} => 1) } @$first;
answer($_, 'SUCCESS', '{"saga-locked-target": "shelf/2"}') foreach grep { !$answered{ $_->{key} } } @$both;
my (undef, $unlocks) = sql_locks(4, 4);
is_deeply([ sort map { $_->{resource} } @$unlocks ],
	[qw(shelf/1 shelf/1 shelf/2 shelf/2)], 'SQL is told to unlock what it has locked');
foreach my $name (@locking)
{
	$service{$name}->wait_for('lock end|2');
	is_deeply(
		[ grep { /^lock/ } $service{$name}->said ],
		[ 'lock open|1', 'lock hold|1', 'lock open|2', 'lock end|1', 'lock hold|2', 'lock end|2' ],
		"$name: the second waits until the first has unlocked");
}
wait_for_query($node{own}, 'eventuate', 'SELECT count(*) = 0 FROM eventuate.saga_lock_table');
is($node{own}->safe_psql('eventuate', 'SELECT count(*) FROM eventuate.saga_stash_table'), 0, 'no lock is left');

my @used = grep { $node{own}->safe_psql('eventuate', "SELECT count(*) FROM shards.message$_") } 0 .. 3;
cmp_ok(scalar @used, '>', 1, 'more than one shard was used');

# ---------------------------------------------------------------------
# Nothing was refused
# ---------------------------------------------------------------------
foreach my $tables (sort keys %node)
{
	wait_caught_up($node{$tables}, 'eventuate');
	is($node{$tables}->safe_psql('eventuate', 'SELECT count(*) FROM eventuate.dead_letter'),
		0, "$tables: no dead letters");
}

done_testing();
