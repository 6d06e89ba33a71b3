--
-- eventuate_produce(): what it stores.
--
CREATE EXTENSION eventuate;
CREATE VIEW produced AS
	SELECT topic, key, value, headers, partition, record_time AT TIME ZONE 'UTC' AS record_time
	FROM eventuate.record ORDER BY id;

--
-- The row
--
BEGIN;
SELECT eventuate_produce('t', 'v') AS id \gset
SELECT id = :'id' AS returned,
	id ~ '^[0-9a-f]{16}-[0-9a-f]{16}$' AS form,
	creation_time = floor(extract(epoch FROM now()) * 1000) AS creation_time,
	txid = pg_current_xact_id() AS txid
FROM eventuate.record;
COMMIT;
SELECT * FROM produced;
TRUNCATE eventuate.record;

--
-- Overloads and ways to write the call
--
SELECT eventuate_produce('untyped', 'v') IS NOT NULL AS sent;
SELECT eventuate_produce('tombstone', NULL) IS NOT NULL AS sent;
SELECT eventuate_produce('text', 'v'::text, 'k') IS NOT NULL AS sent;
SELECT eventuate_produce('varchar'::varchar, 'v'::varchar, 'k'::varchar) IS NOT NULL AS sent;
SELECT eventuate_produce('bytea', '\x00ff'::bytea, 'k') IS NOT NULL AS sent;
SELECT eventuate_produce('json', '{ "a":1 }'::json, 'k') IS NOT NULL AS sent;
SELECT eventuate_produce('jsonb', '{ "a":1 }'::jsonb, 'k') IS NOT NULL AS sent;
SELECT eventuate_produce('text-key', 'v'::text, '\xfe'::bytea) IS NOT NULL AS sent;
SELECT eventuate_produce('bytea-key', '\x00ff'::bytea, '\xfe'::bytea) IS NOT NULL AS sent;
SELECT eventuate_produce('json-key', '{ "a":1 }'::json, '\xfe'::bytea) IS NOT NULL AS sent;
SELECT eventuate_produce('jsonb-key', '{ "a":1 }'::jsonb, '\xfe'::bytea) IS NOT NULL AS sent;
SELECT eventuate_produce('null-key', 'v'::text, NULL::bytea) IS NOT NULL AS sent;
SELECT eventuate_produce('empty', '', '') IS NOT NULL AS sent;
SELECT eventuate_produce('tombstone', NULL, 'k') IS NOT NULL AS sent;
SELECT eventuate_produce('tombstone', NULL::bytea, '\x00'::bytea) IS NOT NULL AS sent;
SELECT eventuate_produce('all', 'v', 'k', '{"h": "1"}', 7, '2020-04-07 01:02:03.456+00', NULL) IS NOT NULL AS sent;
SELECT eventuate_produce(value => 'v', topic => 'named') IS NOT NULL AS sent;
SELECT eventuate_produce(topic => 'named', value => 'v', partition => 0) IS NOT NULL AS sent;
SELECT eventuate_produce(topic => 'named', value => 'v', key => 'k', headers => '{}', partition => 2147483647,
	record_time => '1970-01-01 00:00:00.001+00') IS NOT NULL AS sent;
SELECT eventuate_produce('unicode', 'é😀', 'ü') IS NOT NULL AS sent;
SELECT * FROM produced;
TRUNCATE eventuate.record;

--
-- Headers are stored as they are given
--
DO $$
BEGIN
	PERFORM eventuate_produce('h', '1', headers => '{}');
	PERFORM eventuate_produce('h', '2', headers => '{"bb": "2", "a": "", "": "x", "ID": "free"}');
	PERFORM eventuate_produce('h', '3', headers => '[]');
	PERFORM eventuate_produce('h', '4', headers => '[{"key": "a", "value": "1"}, {"key": "a", "value": null}, {"value": "", "key": ""}]');
	PERFORM eventuate_produce('h', '5', headers => '[{"key": "a", "base64": "AP8="}, {"key": "b", "base64": ""}]');
END
$$;
SELECT convert_from(value, 'UTF8') AS value, headers FROM produced;
TRUNCATE eventuate.record;

--
-- Surroundings; send.sql has more
--
BEGIN;
SELECT eventuate_produce('t', 'kept') IS NOT NULL AS sent;
SAVEPOINT a;
SELECT eventuate_produce('t', 'lost') IS NOT NULL AS sent;
ROLLBACK TO a;
COMMIT;
DO $$
BEGIN
	PERFORM eventuate_produce('t', n::text, n::text) FROM generate_series(1, 2) AS n;
END
$$;
BEGIN;
SELECT eventuate_produce('t', 'prepared') IS NOT NULL AS sent;
PREPARE TRANSACTION 'regress_produce';
COMMIT PREPARED 'regress_produce';

-- By hand: the table's defaults do the rest
INSERT INTO eventuate.record (topic, value) VALUES ('t', 'by hand');
SELECT id ~ '^[0-9a-f]{16}-[0-9a-f]{16}$' AS form, txid IS NOT NULL AS txid
FROM eventuate.record WHERE value = 'by hand';
\set VERBOSITY terse
INSERT INTO eventuate.record (topic, partition) VALUES ('t', -1);
\set VERBOSITY default

-- Through SQL: a table with a trigger
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.value := upper(convert_from(NEW.value, 'UTF8'))::bytea;
	RETURN NEW;
END
$$;
CREATE TRIGGER shout BEFORE INSERT ON eventuate.record FOR EACH ROW EXECUTE FUNCTION shout();
SELECT eventuate_produce('t', 'trigger', 'k', '{"h": "1"}', 3, '2020-04-07 01:02:03+00') IS NOT NULL AS sent;
SELECT topic, convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value, headers, partition, record_time
FROM produced;

-- Messages and records share one sequence of ids
SELECT eventuate_send('c', '1') < eventuate_produce('t', '2') AS ascending;

SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP FUNCTION shout;
