# Several real brokers; each is a controller, too.

package Eventuate::Cluster;

use strict;
use warnings;

use Eventuate::Kafka ();

our @ISA = ('Eventuate::Kafka');

sub new
{
	my ($class, %options) = @_;
	my $count = $options{brokers};
	my ($sockets, @ports) = Eventuate::Kafka::ports(2 * $count);
	my @controllers = splice @ports, 0, $count;
	my @nodes = map {
		Eventuate::Kafka->prepare(
			%options,
			id => $_,
			port => $ports[ $_ - 1 ],
			controllers => \@controllers,
			memory => '256m')
	} 1 .. $count;
	my $self = bless { %{ $nodes[0] }, nodes => \@nodes }, $class;

	delete $self->{number};
	$self->{brokers} = join ',', map { $_->brokers } @nodes;
	close $_ foreach @$sockets;
	$self->start;
	return $self;
}

sub node
{
	return $_[0]{nodes}[ $_[1] - 1 ];
}

sub nodes
{
	return @{ $_[0]{nodes} };
}

sub start
{
	my ($self) = @_;
	$_->launch_broker foreach $self->nodes;
	$_->wait_for_answer foreach $self->nodes;
	return;
}

# At once: one by one the last would wait for a majority.
sub stop { return $_[0]->kill; }
sub kill { $_->kill foreach $_[0]->nodes; return; }
sub freeze { $_->freeze foreach $_[0]->nodes; return; }
sub thaw { $_->thaw foreach $_[0]->nodes; return; }
sub log_contents { return join '', map { $_->log_contents } $_[0]->nodes; }
sub DESTROY { return; }

1;
