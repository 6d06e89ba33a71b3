# A broker's process, or that of another program that a test needs.

package Eventuate::Broker;

use strict;
use warnings;

use IO::Handle ();
use IO::Socket::INET ();
use PostgreSQL::Test::Utils ();
use POSIX ();
use Scalar::Util ();

my @brokers;

# Start a program that dies with us, whatever becomes of us; stdin and stdout
# are given as file handles or names.
sub launch
{
	my ($self, $in, $out, @command) = @_;

	my $pid = fork // die "could not fork: $!";
	if ($pid == 0)
	{
		open(STDIN, ref $in ? '<&' : '<', $in)
		  and open(STDOUT, ref $out ? '>&' : '>>', $out)
		  and open(STDERR, '>>', $self->{log})
		  and exec('setpriv', '--pdeathsig', 'KILL', @command);
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	unless (grep { defined && $_ == $self } @brokers)
	{
		push @brokers, $self;
		Scalar::Util::weaken($brokers[-1]);
	}
	return;
}

# The same for a program that obeys lines; returns its first line.
sub launch_obedient
{
	my ($self, $program, @arguments) = @_;

	die "$program is missing: make $program\n" unless -x $program;
	pipe(my $from_us, $self->{in}) && pipe($self->{out}, my $to_us)
	  or die "no pipe: $!";
	$self->launch($from_us, $to_us, $program, @arguments);
	$self->{in}->autoflush(1);
	return $self->answer;
}

sub answer
{
	my ($self) = @_;
	my $out = $self->{out};
	my $line = <$out>;

	die "a program died: " . $self->log_contents . "\n" unless defined $line;
	chomp $line;
	return $line;
}

sub command
{
	my ($self, $line) = @_;

	print { $self->{in} } "$line\n";
	my ($ok, @answer) = split ' ', $self->answer;
	die "\"$line\": $ok @answer\n" unless $ok eq 'ok';
	return wantarray ? @answer : $answer[0];
}

# Send a signal, wait for the end.
sub end
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;
	my $deadline = time + 30;

	CORE::kill('CONT', $pid);
	CORE::kill($signal, $pid);
	while (waitpid($pid, POSIX::WNOHANG()) == 0)
	{
		CORE::kill('KILL', $pid) if time > $deadline;
		Time::HiRes::sleep(0.01);
	}
	return;
}

sub brokers
{
	return $_[0]{brokers};
}

sub pid
{
	return $_[0]{pid};
}

sub freeze
{
	return CORE::kill('STOP', $_[0]{pid});
}

sub thaw
{
	return CORE::kill('CONT', $_[0]{pid});
}

sub kill
{
	return $_[0]->end('KILL');
}

sub log_contents
{
	return PostgreSQL::Test::Utils::slurp_file($_[0]{log});
}

sub running
{
	my ($self) = @_;
	return $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == 0;
}

# A file or directory of this broker's, named after the test.
sub path
{
	my ($self, $name) = @_;
	my ($test) = $0 =~ m{([^/]+?)(\.pl)?$};
	our $count;

	$self->{number} //= ++$count;
	return "$PostgreSQL::Test::Utils::log_path/${test}_$name$self->{number}.log"
	  if $name =~ /^(mock|kafka|proxy)$/;
	return PostgreSQL::Test::Utils::tempdir($name);
}

# Below those that the system gives to connections: none of them can take it
# while the broker is down.
sub free_port
{
	foreach (1 .. 100)
	{
		my $socket = IO::Socket::INET->new(
			LocalAddr => '127.0.0.1',
			LocalPort => 10200 + int rand 22500,
			Proto => 'tcp',
			Listen => 1) or next;
		return ($socket->sockport, $socket);
	}
	die "no free port: $!";
}

sub DESTROY
{
	local ($?, $@);
	$_[0]->end('KILL');
	return;
}

END
{
	local $?;
	foreach my $broker (@brokers)
	{
		$broker->end('KILL') if defined $broker;
	}
}

1;
