# A way to a real Kafka that can be broken: real_kafka(proxied => 1)->proxy
#
#	brokers				where it listens
#	reset				resets (RST) every connection
#	reset(1)			waits for up to 0.3 s until Kafka answers something, and
#						resets that connection instead of passing the answer on
#	delay(ms)			what the connections there are bring to Kafka arrives later,
#						also when the client is gone by then; returns how many
#						connections, and how many bytes are on their way
#
# reset returns how many connections it hit, and how many of them had a request
# that was not answered.

package Eventuate::Proxy;

use strict;
use warnings;

use Eventuate::Broker ();

our @ISA = ('Eventuate::Broker');

sub new
{
	my ($class, $server) = @_;
	my $self = bless {}, $class;
	my ($port) = $server =~ /:(\d+)$/;

	$self->{log} = $self->path('proxy');
	$self->{brokers} = '127.0.0.1:' . $self->launch_obedient('t/proxy', $port);
	return $self;
}

sub reset
{
	my ($self, $answer) = @_;
	return $self->command($answer ? 'swallow 300' : 'reset');
}

sub delay
{
	my ($self, $ms) = @_;
	return $self->command("delay $ms");
}

1;
