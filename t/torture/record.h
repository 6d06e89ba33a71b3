/*-------------------------------------------------------------------------
 *
 * record.h
 *	  One record from Kafka as a line.
 *
 * Copyright (c) 2026, eventuate contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECORD_H
#define RECORD_H

#include <librdkafka/rdkafka.h>

#include "torture.h"

void		print_record(int topic, const rd_kafka_message_t *record);

#endif							/* RECORD_H */
