/*-------------------------------------------------------------------------
 *
 * siphash.h
 *	  SipHash: a short text's MAC, for little.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SIPHASH_H
#define EV_SIPHASH_H

#define EV_SIPHASH_LENGTH 16

extern void ev_siphash(const uint8 *key, const void *data, size_t length,
					   uint8 *result);

#endif							/* EV_SIPHASH_H */
