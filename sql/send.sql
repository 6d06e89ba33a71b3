--
-- eventuate_send(): what it stores, and where it can be called.
--
CREATE EXTENSION eventuate;

-- Ids and dates differ with each run.
CREATE FUNCTION mask(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(regexp_replace($1,
		'[0-9a-f]{16}-[0-9a-f]{16}', '<id>', 'g'),
		'[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT', '<date>', 'g')
$$;
CREATE VIEW sent AS
	SELECT destination, mask(headers) AS headers, payload
	FROM eventuate.message ORDER BY id;

--
-- The row
--
BEGIN;
SELECT eventuate_send('orders', '{"total": 5}', '101', '{"type": "Created"}') AS id \gset
SELECT id = :'id' AS returned,
	id ~ '^[0-9a-f]{16}-[0-9a-f]{16}$' AS form,
	headers::json->>'ID' = id AS id_header,
	published,
	message_partition,
	creation_time = floor(extract(epoch FROM now()) * 1000) AS creation_time,
	txid = pg_current_xact_id() AS txid
FROM eventuate.message;
SELECT abs(extract(epoch FROM clock_timestamp() AT TIME ZONE 'UTC' -
	to_timestamp(headers::json->>'DATE', 'Dy, FMDD Mon YYYY HH24:MI:SS')::timestamp)) < 60 AS date,
	to_char(to_timestamp(headers::json->>'DATE', 'Dy, FMDD Mon YYYY HH24:MI:SS'),
		'Dy, FMDD Mon YYYY HH24:MI:SS') || ' GMT' = headers::json->>'DATE' AS date_form
FROM eventuate.message;
SELECT * FROM sent;
COMMIT;
TRUNCATE eventuate.message;

--
-- Overloads and ways to write the call
--
SELECT eventuate_send('untyped', '{ "a" : 1 }') IS NOT NULL AS sent;
SELECT eventuate_send('text', 'not { json'::text) IS NOT NULL AS sent;
SELECT eventuate_send('varchar'::varchar, '{}'::varchar, '1'::varchar) IS NOT NULL AS sent;
SELECT eventuate_send('json', '{ "a" : 1.50 }'::json) IS NOT NULL AS sent;
SELECT eventuate_send('jsonb', '{ "bb" : 1.50, "a":"\u00e9" }'::jsonb) IS NOT NULL AS sent;
SELECT eventuate_send('empty', '') IS NOT NULL AS sent;
SELECT eventuate_send('nulls', '{}', NULL, NULL, NULL) IS NOT NULL AS sent;
SELECT eventuate_send(payload => '{}', channel => 'named') IS NOT NULL AS sent;
SELECT eventuate_send(channel => 'named', payload => '{}'::json, headers => '{"h": "1"}',
	key => 'k') IS NOT NULL AS sent;
SELECT eventuate_send('mixed', '{}'::jsonb, headers => '{"h": "1"}') IS NOT NULL AS sent;
SELECT * FROM sent;
TRUNCATE eventuate.message;

--
-- Headers: the caller's in jsonb's order, then ours
--
DO $$
BEGIN
	PERFORM eventuate_send('c', '1', '', NULL);
	PERFORM eventuate_send('c', '2', NULL, '{}');
	PERFORM eventuate_send('c', '3', 'k', '{"bb": "2", "a": "1", "ccc": "3"}');
	PERFORM eventuate_send('c', '4', 'k', '{"zz": "1", "PARTITION_ID": "k", "a": "2"}');
	PERFORM eventuate_send('c', '5', NULL, '{"PARTITION_ID": "h", "a": "2"}');
	PERFORM eventuate_send('c', '6', E'"\\/\b\f\n\r\t\x01\x1f\x7fé😀',
		'{"\"\\\/\b\f\n\r\t\u0001\u001f\u007f\u00e9\ud83d\ude00": "\"\\\/\b\f\n\r\t\u0001\u001f\u007f\u00e9\ud83d\ude00"}');
	PERFORM eventuate_send('c', '7', NULL, '{"id": "not ID", "": "empty", "empty": ""}');
END
$$;
\pset format unaligned
SELECT payload, headers FROM sent;
\pset format aligned
-- Whatever the headers are, the column is one JSON object.
SELECT payload, count(*) FROM eventuate.message, json_each_text(headers::json)
GROUP BY 1 ORDER BY 1;
TRUNCATE eventuate.message;

--
-- Ids: ascending in send order, never the same
--
SELECT count(DISTINCT id), bool_and(id > previous) AS ascending
FROM (SELECT id, lag(id) OVER (ORDER BY n) AS previous
	  FROM (SELECT n, eventuate_send('c', n::text) AS id
			FROM generate_series(1, 1000) AS n) AS s) AS t;
SELECT count(*), bool_and(payload::int = n) AS in_send_order
FROM (SELECT payload, row_number() OVER (ORDER BY id) AS n FROM eventuate.message) AS t;
SELECT eventuate.next_id() > max(id) AS next_id FROM eventuate.message;
TRUNCATE eventuate.message;

--
-- Surroundings
--
CREATE TABLE business (id int PRIMARY KEY, message text);

-- INSERT ... SELECT, RETURNING, CASE
INSERT INTO business SELECT n, eventuate_send('insert-select', n::text) FROM generate_series(1, 3) AS n;
UPDATE business SET message = CASE WHEN id = 2 THEN eventuate_send('update', 'two') ELSE message END
RETURNING id, eventuate_send('returning', id::text) > message AS newer;
SELECT b.id, m.destination, m.payload FROM business AS b JOIN eventuate.message AS m ON m.id = b.message ORDER BY 1;
TRUNCATE eventuate.message, business;

-- Trigger
CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.message := eventuate_send('trigger', to_jsonb(NEW), NEW.id::text);
	RETURN NEW;
END
$$;
CREATE TRIGGER announce BEFORE INSERT ON business FOR EACH ROW EXECUTE FUNCTION announce();
INSERT INTO business VALUES (1), (2);
INSERT INTO business VALUES (3), (2);		-- fails: nothing is sent
DROP TRIGGER announce ON business;

-- PL/pgSQL: exceptions, and what is visible when
DO $$
DECLARE
	visible int;
BEGIN
	PERFORM eventuate_send('do', 'before');
	SELECT count(*) INTO visible FROM eventuate.message WHERE destination = 'do';
	RAISE INFO 'visible: %', visible;
	BEGIN
		PERFORM eventuate_send('do', 'lost');
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM eventuate_send('do', 'in handler');
	END;
	BEGIN
		PERFORM eventuate_send('do', 'kept');
	EXCEPTION WHEN division_by_zero THEN
		RAISE INFO 'not reached';
	END;
	FOR i IN 1..3 LOOP
		BEGIN
			PERFORM eventuate_send('do', i::text);
			IF i = 2 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END
$$;

-- A procedure that commits
CREATE PROCEDURE send_and_commit() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM eventuate_send('procedure', 'committed');
	COMMIT;
	PERFORM eventuate_send('procedure', 'rolled back');
	ROLLBACK;
	PERFORM eventuate_send('procedure', 'last');
END
$$;
CALL send_and_commit();

-- Prepared statements: custom plans, then a generic one
PREPARE send(text, text) AS SELECT eventuate_send('prepared', $1, $2) IS NOT NULL AS sent;
SET plan_cache_mode = force_generic_plan;
EXECUTE send('1', 'a');
SET plan_cache_mode = force_custom_plan;
EXECUTE send('2', NULL);
RESET plan_cache_mode;

-- Savepoints
BEGIN;
SELECT eventuate_send('savepoint', 'kept 1') IS NOT NULL AS sent;
SAVEPOINT a;
SELECT eventuate_send('savepoint', 'lost 1') IS NOT NULL AS sent;
SAVEPOINT b;
SELECT eventuate_send('savepoint', 'lost 2') IS NOT NULL AS sent;
RELEASE b;
ROLLBACK TO a;
SELECT eventuate_send('savepoint', 'kept 2') IS NOT NULL AS sent;
SAVEPOINT c;
SELECT eventuate_send('savepoint', 'kept 3') IS NOT NULL AS sent;
RELEASE c;
SELECT count(*), count(DISTINCT txid), min(txid) = pg_current_xact_id() AS top_level
FROM eventuate.message WHERE destination = 'savepoint';
COMMIT;

-- Rolled back
BEGIN;
SELECT eventuate_send('rollback', 'lost') IS NOT NULL AS sent;
ROLLBACK;

-- Two-phase commit
BEGIN;
SELECT eventuate_send('2pc', 'committed') IS NOT NULL AS sent;
PREPARE TRANSACTION 'regress_commit';
BEGIN;
SELECT eventuate_send('2pc', 'aborted') IS NOT NULL AS sent;
PREPARE TRANSACTION 'regress_abort';
SELECT count(*) AS prepared FROM eventuate.message WHERE destination = '2pc';
COMMIT PREPARED 'regress_commit';
ROLLBACK PREPARED 'regress_abort';

-- A cursor sends what is fetched
BEGIN;
DECLARE c CURSOR FOR SELECT n, eventuate_send('cursor', n::text) IS NOT NULL AS sent FROM generate_series(1, 9) AS n;
FETCH 2 FROM c;
CLOSE c;
COMMIT;

-- Serializable
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT eventuate_send('serializable', '') IS NOT NULL AS sent;
COMMIT;

SELECT destination, payload, headers FROM sent;
TRUNCATE eventuate.message;

--
-- DDL on the table between calls, also in the same transaction
--
BEGIN;
SELECT eventuate_send('ddl', '1') IS NOT NULL AS sent;
ALTER TABLE eventuate.message ADD CONSTRAINT no_secrets CHECK (payload <> 'secret');
SELECT eventuate_send('ddl', '2') IS NOT NULL AS sent;
SAVEPOINT a;
\set VERBOSITY terse
SELECT eventuate_send('ddl', 'secret');
\set VERBOSITY default
ROLLBACK TO a;
ALTER TABLE eventuate.message ADD COLUMN note text DEFAULT 'n';
SELECT eventuate_send('ddl', '3') IS NOT NULL AS sent;
SELECT payload, note FROM eventuate.message ORDER BY id;
ALTER TABLE eventuate.message DROP COLUMN note;
SELECT eventuate_send('ddl', '4') IS NOT NULL AS sent;
COMMIT;
ALTER TABLE eventuate.message DROP CONSTRAINT no_secrets;
SELECT eventuate_send('ddl', 'secret') IS NOT NULL AS sent;

-- Indexes of every kind are kept
CREATE INDEX message_upper ON eventuate.message (upper(destination));
CREATE INDEX message_unpublished ON eventuate.message (id) WHERE published = 0;
CREATE UNIQUE INDEX message_one ON eventuate.message (destination) WHERE destination = 'one';
SELECT eventuate_send('indexed', 'x') IS NOT NULL AS sent;
SELECT eventuate_send('one', 'x') IS NOT NULL AS sent;
SELECT eventuate_send('one', 'y');
SET enable_seqscan = off;
SELECT payload FROM eventuate.message WHERE upper(destination) = 'INDEXED';
SELECT count(*) FROM eventuate.message WHERE published = 0 AND id > '';
RESET enable_seqscan;
DROP INDEX eventuate.message_upper, eventuate.message_unpublished, eventuate.message_one;
TRUNCATE eventuate.message;

--
-- Triggers and rules of the table itself
--
CREATE FUNCTION on_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE INFO '% % %', TG_WHEN, TG_LEVEL, CASE TG_LEVEL WHEN 'ROW' THEN NEW.payload END;
	IF TG_WHEN = 'BEFORE' AND NEW.payload = 'nested' THEN
		PERFORM eventuate_send('trigger', 'inner');
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER before_row BEFORE INSERT ON eventuate.message FOR EACH ROW EXECUTE FUNCTION on_message();
CREATE TRIGGER after_statement AFTER INSERT ON eventuate.message EXECUTE FUNCTION on_message();
SELECT eventuate_send('trigger', 'nested') IS NOT NULL AS sent;
DROP TRIGGER before_row ON eventuate.message;
DROP TRIGGER after_statement ON eventuate.message;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON eventuate.message
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_message();
BEGIN;
SELECT eventuate_send('trigger', 'deferred') IS NOT NULL AS sent;
COMMIT;
DROP TRIGGER deferred ON eventuate.message;
CREATE TABLE audit (destination text);
CREATE RULE audit AS ON INSERT TO eventuate.message DO ALSO INSERT INTO audit VALUES (NEW.destination);
SELECT eventuate_send('rule', 'r') IS NOT NULL AS sent;
DROP RULE audit ON eventuate.message;
SELECT * FROM audit;
SELECT eventuate_send('plain', 'p') IS NOT NULL AS sent;
SELECT destination, payload FROM sent;
TRUNCATE eventuate.message;

--
-- search_path has no say, whichever way the row takes
--
CREATE SCHEMA evil;
CREATE FUNCTION evil.raise(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'evil'; END$$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.raise(VALUE) IS NULL);
CREATE DOMAIN evil.varchar AS pg_catalog.text CHECK (evil.raise(VALUE) IS NULL);
CREATE DOMAIN evil.xid8 AS pg_catalog.xid8 CHECK (evil.raise('') IS NULL);
CREATE TABLE evil.message (LIKE eventuate.message);
CREATE TABLE evil.record (LIKE eventuate.record);
CREATE FUNCTION evil.next_id() RETURNS pg_catalog.text LANGUAGE sql AS $$SELECT evil.raise('')$$;
SET search_path = evil, pg_catalog;
SELECT public.eventuate_send('evil', 'short way') IS NOT NULL AS sent;
ALTER TABLE eventuate.message ADD COLUMN extra pg_catalog.text DEFAULT 'x';
SELECT public.eventuate_send('evil', 'through SQL') IS NOT NULL AS sent;
RESET search_path;
SELECT destination, payload FROM eventuate.message ORDER BY id;
SELECT count(*) FROM evil.message;
SET client_min_messages = warning;
DROP SCHEMA evil CASCADE;
RESET client_min_messages;

--
-- Nothing of ours needs double quotes
--
SELECT name FROM (
	SELECT unnest(proargnames) AS name FROM pg_proc JOIN pg_depend ON objid = pg_proc.oid AND classid = 'pg_proc'::regclass
	WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'eventuate')
	UNION
	SELECT attname FROM pg_attribute JOIN pg_depend ON objid = attrelid AND classid = 'pg_class'::regclass
	WHERE attnum > 0 AND NOT attisdropped AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'eventuate')
) AS names
WHERE quote_ident(name) <> name
	OR name IN (SELECT word FROM pg_get_keywords() WHERE catcode <> 'U');

SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP TABLE business, audit;
DROP FUNCTION announce, on_message, mask;
DROP PROCEDURE send_and_commit;
