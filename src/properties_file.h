/*-------------------------------------------------------------------------
 *
 * properties_file.h
 *	  Reading a file of properties that may hold secrets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_PROPERTIES_FILE_H
#define EV_PROPERTIES_FILE_H

#include "properties.h"

extern EvProperties *ev_properties_file_read(const char *path,
											 EvProblem *problem);
extern void ev_properties_file_locate(EvProblem *problem, const char *path,
									  int line);

#endif							/* EV_PROPERTIES_FILE_H */
