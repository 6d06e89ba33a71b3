# Where sending is refused for what the server is: an error that says what to
# do, with nothing sent.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $node = new_node('main');
$node->safe_psql('postgres', q{SELECT eventuate_send('c', 'sent')});

# The error's SQLSTATE, message and hint.
sub refused
{
	my ($server, $call, $error, $hint, $name) = @_;
	my ($status, $out, $err) = $server->psql('postgres', "\\set VERBOSITY verbose\nSELECT $call;");

	like($err, qr/ERROR:  $error/, "$name: $call");
	like($err, qr/HINT:  $hint/, "$name: hint") if $hint;
	return;
}

sub sent
{
	return $_[0]->safe_psql('postgres',
		'SELECT (SELECT count(*) FROM eventuate.message) + (SELECT count(*) FROM eventuate.record)');
}

# A standby: read-only, whatever else.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
refused($standby, q{eventuate_send('c', '{}')},
	qr/25006: cannot execute eventuate_send\(\) in a read-only transaction/, undef, 'standby');
refused($standby, q{eventuate_produce('t', 'v')},
	qr/25006: cannot execute eventuate_produce\(\) in a read-only transaction/, undef, 'standby');
$standby->stop;

# Nothing would ever be published from a WAL that does not say enough.
$node->append_conf('postgresql.conf', "wal_level = replica\n");
$node->restart;
my $hint = qr/Set wal_level = logical in postgresql.conf and restart the server\./;
refused($node, q{eventuate_send('c', '{}')},
	qr/55000: eventuate_send\(\) requires wal_level to be "logical"/, $hint, 'wal_level');
refused($node, q{eventuate_produce('t', 'v')},
	qr/55000: eventuate_produce\(\) requires wal_level to be "logical"/, $hint, 'wal_level');
$node->append_conf('postgresql.conf', "wal_level = logical\n");

# Nor without the workers, which begin with the server.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
$hint = qr/Add "eventuate" to shared_preload_libraries in postgresql.conf and restart the server\./;
refused($node, q{eventuate_send('c', '{}')},
	qr/55000: eventuate_send\(\) requires eventuate to be preloaded/, $hint, 'not preloaded');
refused($node, q{eventuate_send(NULL, NULL::jsonb)},
	qr/55000: eventuate_send\(\) requires eventuate to be preloaded/, $hint, 'not preloaded');
refused($node, q{eventuate_produce('t', 'v')},
	qr/55000: eventuate_produce\(\) requires eventuate to be preloaded/, $hint, 'not preloaded');
refused($node, q{eventuate.next_id()},
	qr/55000: eventuate.next_id\(\) requires eventuate to be preloaded/, $hint, 'not preloaded');
is(sent($node), 1, 'nothing was sent');

# The limit is that of the server at the time.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'eventuate'\neventuate.max_message_size = 2000\n");
$node->restart;
$node->safe_psql('postgres', q{SELECT eventuate_produce('t', repeat('x', 1900))});
refused($node, q{eventuate_produce('t', repeat('x', 1901))},
	qr/54000: message is too large/, qr/Send a reference instead of the data/, 'max_message_size');
is(sent($node), 2, 'only what fits was sent');

done_testing();
