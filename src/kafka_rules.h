/*-------------------------------------------------------------------------
 *
 * kafka_rules.h
 *	  Which librdkafka properties a user may set, and to what.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_KAFKA_RULES_H
#define EV_KAFKA_RULES_H

#include "properties.h"

/*
 * The linger.ms that holds unless somebody sets another, in ms: how long records
 * of a backlog wait for more to go with them.
 */
#define EV_LINGER "10"

extern bool ev_kafka_rules_check(const EvProperty *property,
								 bool secrets_allowed, EvProblem *problem);
extern bool ev_kafka_rules_same(const EvProperty *one,
								const EvProperty *other);
extern bool ev_kafka_rules_secret(const char *name);
extern bool ev_kafka_rules_handle(const char *name);
extern const char *ev_kafka_rules_canonical(const char *name);
extern const char *ev_kafka_rules_java(const char *name);

#endif							/* EV_KAFKA_RULES_H */
