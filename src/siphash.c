/*-------------------------------------------------------------------------
 *
 * siphash.c
 *	  SipHash: a short text's MAC, for little.
 *
 * SipHash-2-4 with 128 bits, as its authors describe it (Aumasson and
 * Bernstein, "SipHash: a fast short-input PRF").  PostgreSQL has HMAC with
 * SHA-256, which takes several times as long for a message as all the rest of
 * writing it, most of it in the administration of contexts.
 *
 * Owns nothing; a restart is no matter.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "siphash.h"

static inline uint64
rotate(uint64 word, int bits)
{
	return word << bits | word >> (64 - bits);
}

/* Eight bytes, the least significant first. */
static inline uint64
read_word(const uint8 *bytes)
{
	uint64		word;

	memcpy(&word, bytes, sizeof(word));
#ifdef WORDS_BIGENDIAN
	word = __builtin_bswap64(word);
#endif
	return word;
}

static void
write_word(uint8 *bytes, uint64 word)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = word >> (8 * i);
}

static inline void
mix(uint64 *v, int rounds)
{
	for (int i = 0; i < rounds; i++)
	{
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static inline void
absorb(uint64 *v, uint64 word)
{
	v[3] ^= word;
	mix(v, 2);
	v[0] ^= word;
}

static inline uint64
squeeze(const uint64 *v)
{
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The last bytes, fewer than eight, and the length of all. */
static uint64
last_word(const uint8 *bytes, size_t length)
{
	uint64		word = (uint64) length << 56;

	for (int i = 0; i < (int) (length % 8); i++)
		word |= (uint64) bytes[i] << (8 * i);
	return word;
}

/* The MAC of data under a key; both key and result have EV_SIPHASH_LENGTH bytes. */
void
ev_siphash(const uint8 *key, const void *data, size_t length, uint8 *result)
{
	uint64		one = read_word(key);
	uint64		two = read_word(key + 8);
	const uint8 *bytes = data;
	const uint8 *end = bytes + length / 8 * 8;
	uint64		v[4] = {
		one ^ UINT64CONST(0x736f6d6570736575),
		two ^ UINT64CONST(0x646f72616e646f6d) ^ 0xee,
		one ^ UINT64CONST(0x6c7967656e657261),
		two ^ UINT64CONST(0x7465646279746573)
	};

	for (; bytes < end; bytes += 8)
		absorb(v, read_word(bytes));
	absorb(v, last_word(end, length));
	v[2] ^= 0xee;
	mix(v, 4);
	write_word(result, squeeze(v));
	v[1] ^= 0xdd;
	mix(v, 4);
	write_word(result + 8, squeeze(v));
}
