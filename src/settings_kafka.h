/*-------------------------------------------------------------------------
 *
 * settings_kafka.h
 *	  The librdkafka properties, for settings.c and SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SETTINGS_KAFKA_H
#define EV_SETTINGS_KAFKA_H

#include "kafka_rules.h"
#include "settings.h"

extern bool ev_settings_kafka_check(const char *list, EvProblem *problem);
extern struct rd_kafka_conf_s *ev_settings_kafka_build(const char *database,
													   EvProblem *problem);
extern EvProperties *ev_settings_kafka_dump(const char *database,
											EvProblem *problem);

#endif							/* EV_SETTINGS_KAFKA_H */
