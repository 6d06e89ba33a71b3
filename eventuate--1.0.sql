/* eventuate--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION eventuate" to load this file. \quit

-- Nothing here is looked up in a schema where others may create objects: what
-- belongs into the chosen schema says so.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- A schema "eventuate" that is already there may belong to anybody.  Until we
-- are done its name stays with it, so that "eventuate" is the same one throughout.
LOCK TABLE pg_namespace IN SHARE MODE;

-- ---------------------------------------------------------------------
-- Schema and tables.  Where Eventuate's own schema is already there, it and
-- its tables message are adopted: never altered, never a member.
-- ---------------------------------------------------------------------
DO $$
BEGIN
	IF to_regnamespace('eventuate') IS NULL THEN
		CREATE SCHEMA eventuate;
		GRANT USAGE ON SCHEMA eventuate TO PUBLIC;
	END IF;
END
$$;

-- Who has ended and who is running, as labels of outboxes keep it.
CREATE FUNCTION eventuate.this_moment() RETURNS text
	AS 'MODULE_PATHNAME', 'this_moment'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION eventuate.this_moment() FROM PUBLIC;

-- An id as eventuate_send() gives it; for rows that are inserted by hand.
CREATE FUNCTION eventuate.next_id() RETURNS text
	AS 'MODULE_PATHNAME', 'next_id'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

DO $$
BEGIN
	IF to_regclass('eventuate.message') IS NULL THEN
		CREATE TABLE eventuate.message (
			id varchar(1000) PRIMARY KEY,
			destination text NOT NULL,
			headers text NOT NULL,
			payload text NOT NULL,
			published int2 DEFAULT 0,
			message_partition int2,
			creation_time int8,
			txid xid8 NOT NULL DEFAULT pg_current_xact_id()
		);
		PERFORM pg_extension_config_dump('eventuate.message', '');
	END IF;
END
$$;

CREATE TABLE eventuate.record (
	id text PRIMARY KEY DEFAULT eventuate.next_id(),
	topic text NOT NULL,
	key bytea,
	value bytea,
	headers jsonb,
	partition int4 CHECK (partition >= 0),
	record_time timestamptz,
	creation_time int8,
	txid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
SELECT pg_extension_config_dump('eventuate.record', '');

-- What makes a table an outbox: its label, a JSON object.  Tram's table message
-- and its shards message0, message1 ... get it here, except where an id has to
-- be made of the key: that takes the producers' outbox id.
DO $$
DECLARE
	name text;
	found record;
BEGIN
	FOR found IN
		SELECT c.oid, relname, relkind IN ('r', 'p') AND relpersistence = 'p' AS ordinary, pg_get_userbyid(relowner) AS owner,
			(SELECT rolsuper FROM pg_roles AS r WHERE r.oid = relowner) AS trusted,
			(SELECT count(*) FILTER (WHERE attname = 'dbid') > 0 FROM pg_attribute WHERE attrelid = c.oid AND NOT attisdropped) AS has_dbid
		FROM pg_class AS c
		WHERE relnamespace = to_regnamespace('eventuate') AND relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT relispartition AND
			(relname = 'message' OR relname ~ '^message[0-9]+$' AND
			 3 = (SELECT count(*) FROM pg_attribute
				  WHERE attrelid = c.oid AND NOT attisdropped AND attname IN ('destination', 'headers', 'payload')))
		ORDER BY length(relname), relname
	LOOP
		name := 'eventuate.' || found.relname;
		IF found.has_dbid OR NOT found.ordinary THEN
			RAISE WARNING '"%" is not an outbox', name
				USING DETAIL = 'Nothing of it is published yet.',
					HINT = format('Use SELECT eventuate_attach(%L, %L%s);', name, 'eventuate',
								  CASE WHEN found.has_dbid THEN ', outbox_id => ...' END);
			CONTINUE;
		END IF;
		EXECUTE format('SECURITY LABEL FOR eventuate ON TABLE eventuate.%I IS %L', found.relname,
					   format('{"format": "eventuate", "since": %s}', eventuate.this_moment()));
		IF NOT found.trusted THEN
			RAISE WARNING '"%", which belongs to role "%", is an outbox now', name, found.owner
				USING DETAIL = 'What is inserted there is published to Kafka, to topics that the rows name.';
		END IF;
	END LOOP;
END
$$;
SECURITY LABEL FOR eventuate ON TABLE eventuate.record IS '{"format": "raw", "columns": {"timestamp": "record_time"}}';

-- What is known to be published, and of which database; one row.  Rows of the
-- outboxes that "snapshot" does not see may still have to be sent.  "system" is
-- the identifier of the cluster where this began, whatever pg_upgrade made of it.
CREATE TABLE eventuate.progress (
	snapshot pg_snapshot NOT NULL,
	timeline int8,
	database oid NOT NULL,
	system int8 NOT NULL,
	paused bool NOT NULL DEFAULT false,
	wal_messages bool NOT NULL DEFAULT false,
	only_row bool PRIMARY KEY DEFAULT true CHECK (only_row)
);

-- The current snapshot, with this transaction added as still running: what it
-- has inserted into an adopted table is yet to be published.
INSERT INTO eventuate.progress (snapshot, database, system)
SELECT CASE WHEN own >= pg_snapshot_xmax(s) THEN s
			ELSE (least(own::text::numeric, pg_snapshot_xmin(s)::text::numeric) || ':' || pg_snapshot_xmax(s) || ':' ||
				  (SELECT string_agg(x::text, ',' ORDER BY x::text::numeric)
				   FROM (SELECT pg_snapshot_xip(s) UNION SELECT own) AS running(x)))::pg_snapshot
	   END,
	   (SELECT oid FROM pg_database WHERE datname = current_database()),
	   (SELECT system_identifier FROM pg_control_system())
FROM (SELECT pg_current_xact_id() AS own, pg_current_snapshot() AS s) AS t;

-- What Kafka has refused for good.  lsn and sequence_number say which message it was.
CREATE TABLE eventuate.dead_letter (
	id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message_id text,
	topic text,
	key bytea,
	value bytea,
	headers jsonb,
	partition int4,
	record_time timestamptz,
	reason text NOT NULL,
	error text,
	attempts int4 NOT NULL,
	refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	lsn pg_lsn,
	sequence_number int8,
	commit_time timestamptz,
	UNIQUE (lsn, sequence_number)
);
SELECT pg_extension_config_dump('eventuate.dead_letter', '');

-- ---------------------------------------------------------------------
-- Sending.  Everybody may call these: what counts is INSERT on the table.
-- ---------------------------------------------------------------------
CREATE FUNCTION @extschema@.eventuate_send(channel text, payload text, key text DEFAULT NULL, headers jsonb DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_send'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_send(channel text, payload json, key text DEFAULT NULL, headers jsonb DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_send'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_send(channel text, payload jsonb, key text DEFAULT NULL, headers jsonb DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_send_jsonb'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.eventuate_produce(topic text, value text, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value bytea, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce_bytea'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value json, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value jsonb, key text DEFAULT NULL, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce_jsonb'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- The same with a key of bytes.
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value text, key bytea, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce_key'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value bytea, key bytea, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce_bytea_key'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value json, key bytea, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce_key'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_produce(topic text, value jsonb, key bytea, headers jsonb DEFAULT NULL, partition int DEFAULT NULL, record_time timestamptz DEFAULT NULL, deliver_at timestamptz DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_produce_jsonb_key'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- Messages as handlers of Eventuate Tram expect them: domain events, commands, replies.
CREATE FUNCTION @extschema@.eventuate_publish(aggregate_type text, aggregate_id text, event_type text, event text, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_publish'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_publish(aggregate_type text, aggregate_id text, event_type text, event json, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_publish'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_publish(aggregate_type text, aggregate_id text, event_type text, event jsonb, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_publish_jsonb'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.eventuate_send_command(channel text, command_type text, command text, reply_to text DEFAULT NULL, resource text DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_send_command'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_send_command(channel text, command_type text, command json, reply_to text DEFAULT NULL, resource text DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_send_command'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_send_command(channel text, command_type text, command jsonb, reply_to text DEFAULT NULL, resource text DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_send_command_jsonb'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.eventuate_reply(request_headers jsonb, outcome text, reply_type text, reply text, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_reply'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_reply(request_headers jsonb, outcome text, reply_type text, reply json, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_reply'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_reply(request_headers jsonb, outcome text, reply_type text, reply jsonb, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_reply_jsonb'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

-- ---------------------------------------------------------------------
-- Steering: for those to whom it is granted.
-- ---------------------------------------------------------------------
CREATE FUNCTION @extschema@.eventuate_pause() RETURNS void
	AS 'MODULE_PATHNAME', 'eventuate_pause'
	LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
CREATE FUNCTION @extschema@.eventuate_resume(skip_existing bool DEFAULT false) RETURNS void
	AS 'MODULE_PATHNAME', 'eventuate_resume'
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
CREATE FUNCTION @extschema@.eventuate_kafka_settings(OUT name text, OUT value text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'eventuate_kafka_settings'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.pg_stat_reset_eventuate() RETURNS void
	AS 'MODULE_PATHNAME', 'pg_stat_reset_eventuate'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.eventuate_retry(dead_letter_id int8, topic text DEFAULT NULL, key text DEFAULT NULL, value text DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'eventuate_retry'
	LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
CREATE FUNCTION @extschema@.eventuate_discard(dead_letter_id int8) RETURNS void
	AS 'MODULE_PATHNAME', 'eventuate_discard'
	LANGUAGE C VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;

CREATE FUNCTION @extschema@.eventuate_attach(outbox regclass, format text, outbox_id int8 DEFAULT NULL, retention interval DEFAULT NULL,
		columns jsonb DEFAULT NULL, topic text DEFAULT NULL, topics text DEFAULT NULL, placements text DEFAULT NULL,
		expand_json bool DEFAULT false, tombstone_on_empty bool DEFAULT false, publish_existing bool DEFAULT false,
		reader text DEFAULT 'wal', poll_interval interval DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'eventuate_attach'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.eventuate_detach(outbox regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'eventuate_detach'
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.eventuate_replay(since timestamptz, until timestamptz, channel text DEFAULT NULL) RETURNS int8
	AS 'MODULE_PATHNAME', 'eventuate_replay'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.eventuate_replay(timestamptz, timestamptz, text) FROM PUBLIC;

-- Everybody may wait.
CREATE FUNCTION @extschema@.eventuate_wait(lsn pg_lsn DEFAULT NULL, timeout interval DEFAULT '30 seconds') RETURNS bool
	AS 'MODULE_PATHNAME', 'eventuate_wait'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;

REVOKE ALL ON FUNCTION @extschema@.eventuate_attach(regclass, text, int8, interval, jsonb, text, text, text, bool, bool, bool, text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.eventuate_detach(regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.eventuate_retry(int8, text, text, text, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.eventuate_discard(int8) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.eventuate_pause() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.eventuate_resume(bool) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.eventuate_kafka_settings() FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.pg_stat_reset_eventuate() FROM PUBLIC;

-- ---------------------------------------------------------------------
-- What is going on.
-- ---------------------------------------------------------------------
CREATE FUNCTION eventuate.stat_databases(
	OUT datid oid, OUT datname name, OUT pid int, OUT state text, OUT slot_name text,
	OUT published_lsn pg_lsn, OUT published_through timestamptz,
	OUT messages int8, OUT bytes int8, OUT in_flight int8, OUT unconfirmed int8,
	OUT dead_letters int8, OUT lag_bytes int8,
	OUT last_error text, OUT last_error_time timestamptz, OUT stats_reset timestamptz) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'stat_databases'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION eventuate.stat_databases() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventuate.stat_databases() TO pg_monitor;

CREATE VIEW @extschema@.pg_stat_eventuate AS SELECT * FROM eventuate.stat_databases();
REVOKE ALL ON @extschema@.pg_stat_eventuate FROM PUBLIC;
GRANT SELECT ON @extschema@.pg_stat_eventuate TO pg_monitor;

-- This database's outboxes.  "options" are the label's, without what has a column.
CREATE FUNCTION eventuate.stat_outboxes(
	OUT relid oid, OUT schemaname name, OUT relname name, OUT format text, OUT reader text, OUT options jsonb,
	OUT messages int8, OUT malformed int8, OUT last_message_time timestamptz,
	OUT state text, OUT last_error text, OUT last_error_time timestamptz) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'stat_outboxes'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION eventuate.stat_outboxes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION eventuate.stat_outboxes() TO pg_monitor;

CREATE VIEW @extschema@.pg_stat_eventuate_outbox AS
	SELECT relid, schemaname, relname, format, reader, options - ARRAY['format', 'reader', 'since', 'earlier'] AS options,
		messages, malformed, last_message_time, state, last_error, last_error_time
	FROM eventuate.stat_outboxes();
REVOKE ALL ON @extschema@.pg_stat_eventuate_outbox FROM PUBLIC;
GRANT SELECT ON @extschema@.pg_stat_eventuate_outbox TO pg_monitor;

-- At commit the launcher starts this database's publisher.
CREATE FUNCTION eventuate.request_publisher() RETURNS void
	AS 'MODULE_PATHNAME', 'request_publisher'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION eventuate.request_publisher() FROM PUBLIC;
SELECT eventuate.request_publisher();
