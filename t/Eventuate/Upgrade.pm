# From one server to another, which has no data yet.  Functions of Eventuate.

package Eventuate;

use strict;
use warnings;

use IPC::Run ();

# Runs pg_upgrade, with further arguments, on two servers that are stopped.
# Returns whether that has worked, and all that it had to say.
sub pg_upgrade
{
	my ($old, $new, @arguments) = @_;
	my @command = (
		$new->installed_command('pg_upgrade'),
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port, @arguments);
	my $out = '';

	# Some files go to the current directory.
	my $done = IPC::Run::run(\@command, '<', \undef, '>&', \$out,
		'init', sub { chdir $new->basedir or die; });
	# What is wrong in particular is in files below the new server's data.
	foreach my $file ($done ? () : $out =~ m{(/\S+\.(?:txt|log))}g)
	{
		$out .= "$file:\n" . PostgreSQL::Test::Utils::slurp_file($file) if -e $file;
	}
	return ($done, $out);
}

1;
