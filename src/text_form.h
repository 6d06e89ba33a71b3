/*-------------------------------------------------------------------------
 *
 * text_form.h
 *	  The one text that a value has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_TEXT_FORM_H
#define EV_TEXT_FORM_H

extern void ev_text_form_override(void);
extern void ev_text_form_assume(void);

#endif							/* EV_TEXT_FORM_H */
