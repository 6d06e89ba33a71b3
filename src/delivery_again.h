/*-------------------------------------------------------------------------
 *
 * delivery_again.h
 *	  What has come back is sent again.  For delivery only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_DELIVERY_AGAIN_H
#define EV_DELIVERY_AGAIN_H

extern void ev_delivery_try_again(void);

#endif							/* EV_DELIVERY_AGAIN_H */
