# Prepared transactions, for which a slot that is being made has to wait.
# Functions of Eventuate.

package Eventuate;

use strict;
use warnings;

# A transaction of some SQL, which has an xid at least.
sub prepare_transaction
{
	my ($node, $name, $sql) = @_;
	$sql //= 'SELECT pg_current_xact_id()';
	$node->safe_psql('postgres', "BEGIN; $sql; PREPARE TRANSACTION '$name'");
	return;
}

sub commit_prepared
{
	my ($node, $name) = @_;
	$node->safe_psql('postgres', "COMMIT PREPARED '$name'");
	return;
}

# Until the publisher waits for it.
sub wait_until_awaited
{
	my ($node, $name) = @_;
	my $xid = $node->safe_psql('postgres', "SELECT transaction FROM pg_prepared_xacts WHERE gid = '$name'");
	wait_for_log($node, qr/waits for transaction $xid /);
	return;
}

1;
