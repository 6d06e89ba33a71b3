# A broker that wants TLS, a certificate, a password: with the right ones,
# with wrong and with expired ones.  The secrets are in eventuate.kafka_file,
# and a reload is all that mending it takes.

use strict;
use warnings;

use lib 't';
use Eventuate;

my $dir = PostgreSQL::Test::Utils::tempdir('secrets');

# ---------------------------------------------------------------------
# Certificates: two authorities, one of them unknown to the broker; of the
# known one a certificate of each kind, and each that has expired.
# ---------------------------------------------------------------------
sub openssl
{
	my (@arguments) = @_;
	my $output = '';
	IPC::Run::run([ 'openssl', @arguments ], '<', \undef, '>&', \$output)
	  or die "openssl @arguments: $output\n";
}

sub write_file
{
	my ($path, $text) = @_;
	my $mask = umask 0077;
	open(my $handle, '>', "$path.new") or die "could not write $path: $!";
	print $handle $text;
	close $handle;
	umask $mask;
	rename "$path.new", $path or die "could not write $path: $!";
}

sub authority
{
	my ($name) = @_;
	openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', "/CN=$name",
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
}

# A key and a certificate; the broker's have the address it is called by.
sub certificate
{
	my ($name, $authority, $days, $address) = @_;
	write_file("$dir/$name.ext", 'subjectAltName=' . ($address || 'DNS:client') . "\n");
	openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name",
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$authority.crt",
		'-CAkey', "$dir/$authority.key", '-CAcreateserial', '-days', $days,
		'-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
	write_file("$dir/$name.pem", slurp_file("$dir/$name.key") . slurp_file("$dir/$name.crt"));
}

authority('authority');
authority('stranger');
# Those of no day at all have expired when they are used.
certificate('broker', 'authority', 2, 'IP:127.0.0.1');
certificate('old-broker', 'authority', 0, 'IP:127.0.0.1');
certificate('misnamed-broker', 'authority', 2, 'IP:127.0.0.2,DNS:elsewhere');
certificate('client', 'authority', 2);
certificate('old-client', 'authority', 0);
certificate('strange-client', 'stranger', 2);

# ---------------------------------------------------------------------
# One broker with a listener for each case
# ---------------------------------------------------------------------
sub stores
{
	my ($listener, $certificate) = @_;
	my $prefix = 'listener.name.' . lc $listener;
	return "$prefix.ssl.keystore.type=PEM\n$prefix.ssl.keystore.location=$dir/$certificate.pem\n"
	  . "$prefix.ssl.truststore.type=PEM\n$prefix.ssl.truststore.location=$dir/authority.crt\n";
}

my $scram = "sasl.enabled.mechanisms=SCRAM-SHA-256\n"
  . join '', map { "listener.name.$_.scram-sha-256.sasl.jaas.config="
	  . "org.apache.kafka.common.security.scram.ScramLoginModule required;\n" } 'scram', 'both';
my $kafka = real_kafka(
	listeners => {
		TLS => 'SSL', MUTUAL => 'SSL', OLD => 'SSL', MISNAMED => 'SSL',
		SCRAM => 'SASL_PLAINTEXT', BOTH => 'SASL_SSL' },
	format => [ '--add-scram', 'SCRAM-SHA-256=[name=alice,password=first-secret]' ],
	conf => stores('TLS', 'broker') . stores('MUTUAL', 'broker') . stores('OLD', 'old-broker')
	  . stores('MISNAMED', 'misnamed-broker') . stores('BOTH', 'broker')
	  . "listener.name.mutual.ssl.client.auth=required\n"
	  . "connection.failed.authentication.delay.ms=0\n" . $scram);

my $node = new_node('main');
my $file = $node->data_dir . '/kafka.properties';
$node->safe_psql('postgres', q{ALTER SYSTEM SET eventuate.kafka_file = 'kafka.properties'});

my $sent = 0;

# The file says where Kafka is, and how to get in.
sub configured
{
	my ($listener, @lines) = @_;
	write_file($file, join("\n", 'bootstrap.servers=' . $kafka->address($listener), @lines, ''));
	$node->reload;
}

sub send_message
{
	$node->safe_psql('postgres', "SELECT eventuate_send('secure', '" . ++$sent . "', 'k')");
}

# Everything sent before has arrived, once and in order, and one more.
sub arrives
{
	my ($what) = @_;
	send_message();
	wait_caught_up($node);
	wait_for_state($node, 'postgres', 'streaming');
	is_deeply([ map { $_->{value} =~ /"payload":"(\d+)"/ } consume($kafka, 'secure') ],
		[ 1 .. $sent ], "$what: everything arrives, once and in order");
}

# Messages wait, and the view says why.
sub waits
{
	my ($what, $reason) = @_;
	send_message();
	my $seen = eval {
		wait_until("the state for $what", sub {
			$Eventuate::seen = stat_of($node, q{concat_ws(': ', state, last_error)});
			return $Eventuate::seen =~ /^waiting: .*$reason/ ? $Eventuate::seen : undef;
		}, 20);
	} || $@;
	like($seen, qr/^waiting: .*$reason/, "$what: last_error says what to look at");
}

# ---------------------------------------------------------------------
# TLS
# ---------------------------------------------------------------------
my @tls = ('security.protocol=ssl', "ssl.ca.location=$dir/authority.crt");
configured('TLS', @tls);
arrives('TLS');
configured('TLS', 'security.protocol=ssl', "ssl.ca.location=$dir/stranger.crt");
waits('a broker of an unknown authority', 'ssl\.ca\.location');
configured('OLD', @tls);
waits('a broker whose certificate has expired', 'may also have expired');
configured('MISNAMED', @tls);
waits('a broker with the certificate of another', 'of another host');
configured('TLS');
waits('no TLS for who wants it', 'security\.protocol');
configured('PLAINTEXT', @tls);
waits('TLS for who does not', 'security\.protocol');
configured('TLS', @tls);
arrives('TLS again');

# ---------------------------------------------------------------------
# Certificates for the client.  The key has a password.
# ---------------------------------------------------------------------
sub mutual
{
	my ($name, @more) = @_;
	configured('MUTUAL', @tls, "ssl.certificate.location=$dir/$name.crt", "ssl.key.location=$dir/$name.key", @more);
}

openssl('rsa', '-aes256', '-in', "$dir/client.key", '-passout', 'pass:key-secret', '-out', "$dir/locked.key");
rename "$dir/locked.key", "$dir/client.key" or die "could not rename: $!";
configured('MUTUAL', @tls);
waits('no certificate', 'ssl\.certificate\.location');
mutual('strange-client');
waits('a certificate of an unknown authority', 'ssl\.certificate\.location');
mutual('old-client');
waits('a certificate that has expired', 'expired');
mutual('client', 'ssl.key.password=key-secret');
arrives('a certificate');

# A certificate that is renewed where it is.
mutual('old-client');
waits('expired once more', 'expired');
certificate('old-client', 'authority', 2);
$node->reload;
arrives('renewed in its place');

# ---------------------------------------------------------------------
# SCRAM, without and with TLS
# ---------------------------------------------------------------------
sub scram
{
	my ($user, $password, $mechanism) = @_;
	return ('security.protocol=sasl_plaintext', 'sasl.mechanism=' . ($mechanism || 'SCRAM-SHA-256'),
		"sasl.username=$user", "sasl.password=$password");
}

configured('SCRAM', scram('alice', 'wrong-secret'));
waits('a wrong password', 'invalid credentials.*sasl\.username and sasl\.password');
configured('SCRAM', scram('bob', 'first-secret'));
waits('a user that is not known', 'invalid credentials.*sasl\.username and sasl\.password');
configured('SCRAM', scram('alice', 'first-secret', 'PLAIN'));
waits('another mechanism', 'SCRAM-SHA-256.*sasl\.mechanism');
configured('SCRAM');
waits('no password', 'security\.protocol');
configured('PLAINTEXT', scram('alice', 'first-secret'));
waits('a password that nobody wants', 'security\.protocol');
configured('SCRAM', scram('alice', 'first-secret'));
arrives('SCRAM');

configured('BOTH', scram('alice', 'first-secret'));
waits('SCRAM without TLS', 'security\.protocol');
my @both = ('security.protocol=sasl_ssl', $tls[1], 'sasl.mechanism=SCRAM-SHA-256', 'sasl.username=alice');
configured('BOTH', @both, 'sasl.password=first-secret');
arrives('SCRAM over TLS');

# A password that is changed: who is in stays in, for that long.
$kafka->alter('--entity-type', 'users', '--entity-name', 'alice',
	'--add-config', 'SCRAM-SHA-256=[password=second-secret]');
arrives('a changed password');
$kafka->stop;
$kafka->start;
waits('a password of the past', 'sasl\.password');
configured('BOTH', @both, 'sasl.password=second-secret');
arrives('the new password');

# ---------------------------------------------------------------------
# What no producer can be made with
# ---------------------------------------------------------------------
configured('TLS', $tls[0], "ssl.ca.location=$dir/nowhere.crt");
wait_for_state($node, 'postgres', 'stopped');
like(stat_of($node, 'last_error'), qr/could not create the Kafka producer: .*ssl\.ca\.location/,
	'a file that is not there: last_error names the property');
send_message();
my $pid = publisher_pid($node);
$node->append_conf('postgresql.conf', 'work_mem = 5MB');
$node->reload;
wait_until('another try', sub { publisher_pid($node) != $pid });
wait_for_state($node, 'postgres', 'stopped');
unlike(slurp_file($node->logfile), qr/exited with exit code 1/, 'which is not an unexpected error');
write_file("$dir/nowhere.crt", slurp_file("$dir/authority.crt"));
$node->reload;
arrives('a file that is there at last');

my $settings = $node->safe_psql('postgres', 'SELECT * FROM eventuate_kafka_settings()');
unlike($settings . slurp_file($node->logfile), qr/(first|second|wrong|key)-secret/, 'no secret is shown or logged');

done_testing();
