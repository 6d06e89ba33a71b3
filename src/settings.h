/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  Every setting of the extension, and the librdkafka properties.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EV_SETTINGS_H
#define EV_SETTINGS_H

typedef enum EvRecordTimestamp
{
	EV_TIMESTAMP_PUBLISH,
	EV_TIMESTAMP_COMMIT
} EvRecordTimestamp;

typedef enum EvOnRefusal
{
	EV_REFUSAL_DEAD_LETTER,
	EV_REFUSAL_STOP
} EvOnRefusal;

typedef enum EvSendMode
{
	EV_SEND_TABLE,
	EV_SEND_WAL
} EvSendMode;

extern char *ev_kafka;
extern char *ev_kafka_file;
extern char *ev_databases;
extern int	ev_max_message_size;	/* bytes */
extern int	ev_queue_size;		/* kB */
extern int	ev_record_timestamp;	/* EvRecordTimestamp */
extern bool ev_exactly_once;
extern int	ev_retention;		/* seconds; -1: rows stay */
extern int	ev_max_wal;			/* MB; -1: no limit */
extern int	ev_send_mode;		/* EvSendMode; of each session */
extern int	ev_on_refusal;		/* EvOnRefusal */
extern int	ev_refusal_grace;	/* seconds */

/* An opaque rd_kafka_conf_t: only settings.c and producer.c know librdkafka. */
struct rd_kafka_conf_s;

extern void ev_settings_init(void);
extern bool ev_settings_database_allowed(const char *database);
extern bool ev_settings_kafka_configured(const char *database);
extern struct rd_kafka_conf_s *ev_settings_kafka_conf(const char *database,
													  char **error,
													  char **hint);
extern char *ev_settings_kafka_fingerprint(const char *database);

#endif							/* EV_SETTINGS_H */
