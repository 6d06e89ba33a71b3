# A key's partition is the one that Java's producers choose.

use strict;
use warnings;

use lib 't';
use Eventuate;

# murmur2 as Kafka's clients have it (org.apache.kafka.common.utils.Utils).
sub murmur2
{
	my ($bytes) = @_;
	my $m = 0x5bd1e995;
	my $h = 0x9747b28c ^ length $bytes;

	# unpack looks at Perl's own form of a string.
	utf8::downgrade($bytes);
	foreach my $k (unpack 'V*', $bytes)
	{
		$k = $k * $m & 0xffffffff;
		$k ^= $k >> 24;
		$h = ($h * $m & 0xffffffff) ^ ($k * $m & 0xffffffff);
	}
	my @rest = unpack 'C*', substr $bytes, length($bytes) & ~3;
	if (@rest)
	{
		$h ^= $rest[$_] << 8 * $_ foreach 0 .. $#rest;
		$h = $h * $m & 0xffffffff;
	}
	$h ^= $h >> 13;
	$h = $h * $m & 0xffffffff;
	return $h ^ $h >> 15;
}

sub partition
{
	return (murmur2($_[0]) & 0x7fffffff) % $_[1];
}

# First of all the Perl above: Kafka's own test vectors, and two known keys.
my %vectors = (
	'21' => -973932308,
	'foobar' => -790332482,
	'a-little-bit-long-string' => -985981536,
	'a-little-bit-longer-string' => -1486304829,
	'lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8' => -58897971,
	'abc' => 479470107);
is(unpack('l', pack 'L', murmur2($_)), $vectors{$_}, "murmur2 of $_") foreach sort keys %vectors;
is(murmur2('101') & 0x7fffffff, 134432450, 'murmur2 of 101');
is(murmur2('0000018bcfe5687b-0242ac1200020000') & 0x7fffffff, 1420999026, 'murmur2 of an id');
is_deeply([ map { partition('101', $_) } 2, 3, 8 ], [ 0, 2, 2 ], 'partitions of 101');
is_deeply([ map { partition('0000018bcfe5687b-0242ac1200020000', $_) } 2, 3, 8 ],
	[ 0, 0, 2 ], 'partitions of an id');

my $kafka = real_kafka();
my $node = new_node('main', kafka => $kafka);
$kafka->create_topic('sent', 8);
$kafka->create_topic('produced', 8);
$kafka->create_topic('three', 3);
wait_for_state($node, 'postgres', 'streaming');

# Keys of all lengths and alphabets; of bytes for plain records.
srand(3);
my @alphabets = (
	[ 0 .. 9 ], [ 'a' .. 'z', '-' ],
	[ "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xc4\x80", 'x' ]);
my %keys = map { $_ => 1 } '', '101', '0000018bcfe5687b-0242ac1200020000', keys %vectors;
while (keys %keys < 1000)
{
	my $alphabet = $alphabets[ rand @alphabets ];
	$keys{ join '', map { $alphabet->[ rand @$alphabet ] } 1 .. rand 40 } = 1;
}
my %bytes = map { $_ => 1 } "\x80", "\xff\xff\xff\xff", "\0";
$bytes{ join '', map { chr rand 256 } 1 .. 1 + rand 20 } = 1 while keys %bytes < 200;

my $hex = sub { return join ',', map { "'\\x" . unpack('H*', $_) . "'::bytea" } sort @_ };
$node->safe_psql('postgres', qq{
	SELECT count(eventuate_send('sent', 'p', convert_from(key, 'UTF8'))),
		   count(eventuate_produce('produced', 'v', convert_from(key, 'UTF8'))),
		   count(eventuate_send('three', 'p', convert_from(key, 'UTF8')))
	FROM unnest(ARRAY[${\ $hex->(keys %keys) }]) AS key;
	SELECT count(eventuate_produce('produced', 'v', key)) FROM unnest(ARRAY[${\ $hex->(keys %bytes) }]) AS key;
	-- without a key the id is the key
	SELECT count(eventuate_send('sent', 'p')) FROM generate_series(1, 100)});
wait_caught_up($node);

# librdkafka sends those without a key to one partition for some ms.
foreach (1 .. 10)
{
	$node->safe_psql('postgres', q{SELECT count(eventuate_produce('produced', 'v')) FROM generate_series(1, 100)});
	wait_caught_up($node);
}

my %expected = (
	sent => [ 8, 1100, \%keys ],
	three => [ 3, 1000, \%keys ],
	produced => [ 8, 2200, { %keys, %bytes } ]);
foreach my $topic (sort keys %expected)
{
	my ($partitions, $count, $keys) = @{ $expected{$topic} };
	my @records = consume($kafka, $topic);
	is(scalar @records, $count, "$topic: every record is there");

	my @keyed = grep { defined $_->{key} } @records;
	is(scalar(grep { !$keys->{ $_ } } map { $_->{key} } grep { $_->{key} !~ /^[0-9a-f]{16}-[0-9a-f]{16}$/ } @keyed),
		0, "$topic: the keys are those that were given");
	my @wrong = grep { $_->{partition} != partition($_->{key}, $partitions) } @keyed;
	is(scalar @wrong, 0, "$topic: each of " . @keyed . ' keys is on the partition that Java would choose')
	  or diag(join "\n", map { unpack('H*', $_->{key}) . " on $_->{partition}" } @wrong[ 0 .. ($#wrong < 5 ? $#wrong : 5) ]);
	my %used = map { $_->{partition} => 1 } @keyed;
	is(scalar keys %used, $partitions, "$topic: every partition is used");
}

# Records without a key go anywhere, but not all to one place.
my %used = map { $_->{partition} => 1 } grep { !defined $_->{key} } consume($kafka, 'produced');
cmp_ok(scalar keys %used, '>', 1, 'records without a key are spread');

done_testing();
