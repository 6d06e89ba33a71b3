/*-------------------------------------------------------------------------
 *
 * decoder.h
 *	  The output plugin.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DECODER_H
#define EV_DECODER_H

#include "eventuate.h"

extern void ev_decoder_set_sink(const EvSink *sink);

#endif							/* EV_DECODER_H */
