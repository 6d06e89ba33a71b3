# librdkafka's mock of Kafka, see t/mock_kafka.c.

package Eventuate::Mock;

use strict;
use warnings;

use Eventuate::Broker ();
use Time::HiRes ();

our @ISA = ('Eventuate::Broker');

sub new
{
	my ($class, %options) = @_;
	my $self = bless { size => $options{brokers} || 1 }, $class;

	$self->{log} = $self->path('mock');
	$self->{brokers} = $self->launch_obedient('t/mock_kafka', $self->{size});
	return $self;
}

sub stop
{
	my ($self) = @_;
	$self->command("down $_") foreach 1 .. $self->{size};
	return;
}

sub start
{
	my ($self) = @_;
	$self->command("up $_") foreach 1 .. $self->{size};
	return;
}

sub create_topic
{
	my ($self, $name, $partitions) = @_;
	$self->command("topic $name " . ($partitions || 4));
	return;
}

# As Eventuate::Proxy's; all of them, while answers are late.
sub reset
{
	my ($self, $answer) = @_;

	if ($answer)
	{
		$self->command("rtt $_ 100") foreach 1 .. $self->{size};
		Time::HiRes::sleep(0.1);
	}
	my $count = $self->command('reset');
	$self->command("rtt $_ 0") foreach 1 .. $self->{size};
	return ($count, 0);
}

1;
