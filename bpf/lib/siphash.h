/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-2-4 of five 64-bit words (40 bytes): a keyed hash made for short messages, of additions, rotations and xors
 * alone, so it takes no table and no loop that the verifier would have to follow. Its lanes are scalars and stay in
 * registers. tests/siphash.root.test.ts runs the published vectors through it in the kernel.
 */
#ifndef RF_SIPHASH_H
#define RF_SIPHASH_H

#include "config.h"

/* Words of a message. */
#define RF_SIP_WORDS 5

static __always_inline __u64 rf_rotate(__u64 x, __u32 by)
{
	return x << by | x >> (64 - by);
}

/* One round over the four lanes. */
#define RF_SIP_ROUND(a, b, c, d)                                            \
	do {                                                                \
		(a) += (b), (c) += (d);                                     \
		(b) = rf_rotate(b, 13) ^ (a), (d) = rf_rotate(d, 16) ^ (c); \
		(a) = rf_rotate(a, 32);                                     \
		(c) += (b), (a) += (d);                                     \
		(b) = rf_rotate(b, 17) ^ (c), (d) = rf_rotate(d, 21) ^ (a); \
		(c) = rf_rotate(c, 32);                                     \
	} while (0)

#define RF_SIP_ABSORB(a, b, c, d, word)   \
	do {                              \
		(d) ^= (word);            \
		RF_SIP_ROUND(a, b, c, d); \
		RF_SIP_ROUND(a, b, c, d); \
		(a) ^= (word);            \
	} while (0)

static __always_inline __u64 rf_siphash(__u64 key0, __u64 key1, const __u64 *words)
{
	__u64 a = key0 ^ 0x736f6d6570736575ULL, b = key1 ^ 0x646f72616e646f6dULL;
	__u64 c = key0 ^ 0x6c7967656e657261ULL, d = key1 ^ 0x7465646279746573ULL;

	RF_SIP_ABSORB(a, b, c, d, words[0]);
	RF_SIP_ABSORB(a, b, c, d, words[1]);
	RF_SIP_ABSORB(a, b, c, d, words[2]);
	RF_SIP_ABSORB(a, b, c, d, words[3]);
	RF_SIP_ABSORB(a, b, c, d, words[4]);
	/* No bytes are left over; the last word holds the length. */
	RF_SIP_ABSORB(a, b, c, d, (__u64)(RF_SIP_WORDS * 8) << 56);
	c ^= 0xff;
	RF_SIP_ROUND(a, b, c, d);
	RF_SIP_ROUND(a, b, c, d);
	RF_SIP_ROUND(a, b, c, d);
	RF_SIP_ROUND(a, b, c, d);
	return a ^ b ^ c ^ d;
}

#endif
