# Another Kafka by reload: nothing is lost, and nothing that the first has
# acknowledged is on the second.  By eventuate.kafka, and by a file.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $one = mock_kafka();
my $two = mock_kafka();
my $node = new_node('main', kafka => $one);
my $data = $node->data_dir;
wait_for_state($node, 'postgres', 'streaming');
$node->safe_psql('postgres', 'CREATE TABLE truth (id text, client int, n serial)');

my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
write_file($script, q{INSERT INTO truth SELECT eventuate_send('load', i::text, 'client ' || :client_id), :client_id FROM generate_series(1, 2) AS i;});

# Reload while messages are on their way: answers take 20 ms.
$_->command('rtt 1 20') foreach $one, $two;
my $load = IPC::Run::start(
	[ 'pgbench', '-n', '-c', '4', '-T', '600', '-R', '300', '-f', $script, $node->connstr('postgres') ],
	'<', \undef, '>', \my $out, '2>', \my $err);
wait_until('load', sub { committed() > 300 });
move_to(properties($two));
move_to(properties($one) . ' linger.ms=5');
$load->kill_kill;
wait_caught_up($node);
$_->command('rtt 1 0') foreach $one, $two;

my (%first, %second, %order);
$first{ id($_) }++ foreach consume($one, 'load');
$second{ id($_) }++ foreach consume($two, 'load');
my @truth = map { [ split /\|/ ] }
  split /\n/, $node->safe_psql('postgres', 'SELECT id, client FROM truth ORDER BY client, n');
is(scalar(grep { !$first{ $_->[0] } && !$second{ $_->[0] } } @truth), 0,
	'nothing is lost of ' . @truth);
is(scalar(grep { $first{$_} && $second{$_} } keys %first), 0, 'nothing is on both');
is(scalar(grep { $_ > 1 } values %first, values %second), 0, 'nothing comes twice');
is(keys(%first) + keys(%second), scalar @truth, 'nothing else is there');
foreach my $kafka ($one, $two)
{
	my (%arrived, %sent);
	push @{ $arrived{ $_->{key} } }, id($_) foreach consume($kafka, 'load');
	my $there = $kafka == $one ? \%first : \%second;
	push @{ $sent{"client $_->[1]"} }, $_->[0] foreach grep { $there->{ $_->[0] } } @truth;
	is_deeply(\%arrived, \%sent, 'each key is in order');
}

# What changes nothing does not end the publisher.
my $pid = publisher_pid($node);
set('eventuate.kafka', "  linger.ms=5  " . properties($one));
$node->safe_psql('postgres', q{SELECT eventuate_send('same', 'x')});
wait_caught_up($node);
isnt(publisher_pid($node), $pid, 'another order of properties may be another setting');
$pid = publisher_pid($node);
$node->append_conf('postgresql.conf', 'work_mem = 5MB');
$node->reload;
wait_for_query($node, 'postgres', q{SELECT current_setting('work_mem')}, '5MB');
$node->safe_psql('postgres', q{SELECT eventuate_send('same', 'y')});
wait_caught_up($node);
is(publisher_pid($node), $pid, 'a reload of other settings leaves the publisher alone');

# A bad property is refused where it is set.
my ($status, $stdout, $stderr) = $node->psql('postgres', q{ALTER SYSTEM SET eventuate.kafka = 'linger.ms=1 bootstrap.server=a'});
like($stderr, qr/invalid value for parameter "eventuate.kafka".*"bootstrap\.server"/s, 'ALTER SYSTEM names a bad property');

# The same by a file, with a section for one database.
$node->safe_psql('postgres', 'CREATE DATABASE "Other db"');
$node->safe_psql('Other db', 'CREATE EXTENSION eventuate');
wait_for_state($node, 'Other db', 'streaming');
my $file = "$data/kafka.properties";
write_file($file, join("\n", '# secrets', 'sasl.password=hidden', 'client.id = all of us', '[Other db]', properties($two), ''));
set('eventuate.kafka_file', 'kafka.properties');
send_both('sections');
is_deeply([ payloads($one, 'sections') ], ['postgres'], 'without a section of its own a database stays');
is_deeply([ payloads($two, 'sections') ], ['Other db'], 'with one it goes elsewhere');
my $settings = $node->safe_psql('Other db', 'SELECT * FROM eventuate_kafka_settings()');
like($settings, qr/^client\.id\|all of us$/m, 'what holds is shown');
like($settings, qr/^metadata\.broker\.list\|\Q${\ $two->brokers}\E$/m, 'also of a section');
like($settings, qr/^sasl\.password\|\*+$/m, 'secrets are masked');
unlike($settings, qr/hidden/, 'all of them');

# Readable by others.
my $position = log_position($node);
chmod 0644, $file;
$node->reload;
wait_for_state($node, 'postgres', 'not configured');
like(stat_of($node, 'last_error'), qr/File "kafka\.properties" has group or world access\..*0600/,
	'a file that others can read is refused');
wait_for_log($node, qr/publisher of database "postgres" is now not configured\n.*DETAIL:  File "kafka\.properties" has group or world access/, $position);
send_only('repaired');
chmod 0600, $file;
$node->reload;
wait_for_state($node, $_, 'streaming') foreach 'postgres', 'Other db';
send_both('repaired');
is_deeply([ payloads($one, 'repaired') ], [ 'postgres', 'postgres' ], 'repaired by a reload, everything arrives');
is_deeply([ payloads($two, 'repaired') ], [ 'Other db', 'Other db' ], 'of both');

# A bad property in a section stops that database, and names the line.
write_file($file, join("\n", 'sasl.password=hidden', '[Other db]', properties($two), 'linger.mss=3', ''));
$node->reload;
wait_for_state($node, 'Other db', 'not configured');
like(stat_of($node, 'last_error', 'Other db'), qr/"kafka\.properties", line 4: .*"linger\.mss"/,
	'file, line and property are named');
send_only('section');
wait_caught_up($node);
is_deeply([ payloads($one, 'section') ], ['postgres'], 'the other database is not concerned');
unlink $file;
$node->reload;
wait_for_query($node, 'postgres',
	q{SELECT count(*) FROM pg_stat_eventuate WHERE state = 'not configured' AND last_error LIKE 'Could not open file "kafka.properties"%'}, 2);
pass('a file that is not there is named');
set('eventuate.kafka_file', '');
wait_caught_up($node, 'Other db');
is_deeply([ payloads($one, 'section') ], [ 'postgres', 'Other db' ], 'without a file eventuate.kafka counts');
unlike(slurp_file($node->logfile), qr/hidden(?!\|)/, 'no secret is in the log');

done_testing();

sub committed { return $node->safe_psql('postgres', 'SELECT count(*) FROM truth'); }

# Sets eventuate.kafka; returns once another publisher has published for a while.
sub move_to
{
	my $pid = publisher_pid($node);

	set('eventuate.kafka', $_[0]);
	wait_until('another publisher', sub { publisher_pid($node) != $pid });
	my $messages = stat_of($node, 'messages');
	wait_for_query($node, 'postgres', "SELECT messages > $messages + 300 FROM pg_stat_eventuate");
}

sub properties { return 'bootstrap.servers=' . $_[0]->brokers; }

sub id { return $_[0]{value} =~ /"ID":"([^"]*)"/ ? $1 : die $_[0]{value}; }

sub payloads
{
	return map { $_->{value} =~ /"payload":"([^"]*)"/ } consume(@_);
}

sub set
{
	my ($setting, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting = '$value'");
	$node->reload;
}

sub send_only
{
	my ($topic) = @_;
	$node->safe_psql($_, "SELECT eventuate_send('$topic', current_database(), 'k')") foreach 'postgres', 'Other db';
}

sub send_both
{
	send_only(@_);
	wait_caught_up($node, $_) foreach 'postgres', 'Other db';
}

sub write_file
{
	my ($path, $text) = @_;
	my $mask = umask 0077;
	open(my $handle, '>', $path) or die "could not write $path: $!";
	print $handle $text;
	close $handle;
	umask $mask;
}
