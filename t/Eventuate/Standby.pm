# Servers that follow another.  Functions of Eventuate.

package Eventuate;

use strict;
use warnings;

our $timeout;

# Starts a server that was one, or comes from a backup, as a standby.  From
# PostgreSQL 17 on it copies slots.
#
#	synchronous => 0	the primary does not wait for it
sub follow
{
	my ($standby, $primary, %options) = @_;
	my $name = $standby->name;
	my $conninfo = $primary->connstr('postgres') =~ s/'/''/gr;

	$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('$name')
		WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$name')");
	$standby->append_conf('postgresql.conf', "primary_slot_name = '$name'\nhot_standby_feedback = on\n"
		  . "synchronous_standby_names = ''\n"
		  . "primary_conninfo = '$conninfo application_name=$name'\n"
		  . (copies_slots($standby) ? "sync_replication_slots = on\n" : ''));
	$standby->set_standby_mode;
	$standby->start;
	my $synchronous = $options{synchronous} // 1;
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = '" . ($synchronous ? $name : '') . "'\n");
	$primary->reload;
	wait_for_query($primary, 'postgres',
		"SELECT sync_state FROM pg_stat_replication WHERE application_name = '$name'", $synchronous ? 'sync' : 'async');
	return;
}

# A new one, without a slot of its own, for which the primary waits.
sub new_synchronous_standby
{
	my ($primary) = @_;
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$primary->backup('copy');
	$standby->init_from_backup($primary, 'copy', has_streaming => 1);
	$standby->start;
	$primary->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = 'standby'});
	$primary->reload;
	wait_for_query($primary, 'postgres', 'SELECT sync_state FROM pg_stat_replication', 'sync');
	return $standby;
}

sub copies_slots { return $_[0]->pg_version >= 17; }

# Where slots are copied: until this standby could go on with the slot.  What
# the copy waits for, bgwriter writes every 15 s.
sub wait_for_slot_copy
{
	my ($standby, $primary) = @_;

	return unless copies_slots($standby);
	wait_until('a copy of the slot', sub {
		$primary->safe_psql('postgres', 'SELECT pg_log_standby_snapshot()');
		return $standby->safe_psql('postgres',
			q{SELECT count(*) FROM pg_replication_slots
			  WHERE plugin = 'eventuate' AND synced AND NOT temporary AND invalidation_reason IS NULL}) == 1;
	});
	return;
}

1;
