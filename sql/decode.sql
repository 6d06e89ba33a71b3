--
-- The output plugin: what becomes of rows.
--
CREATE EXTENSION eventuate;
SELECT 1 AS created FROM pg_create_logical_replication_slot('regress_decode', 'eventuate');
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION mask(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(regexp_replace($1,
		'[0-9a-f]{16}-[0-9a-f]{16}', '<id>', 'g'),
		'[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT', '<date>', 'g')
$$;
CREATE VIEW published AS
	SELECT mask(data) AS data FROM pg_logical_slot_get_changes('regress_decode', NULL, NULL, 'include_time', 'off');
-- A row as by hand
CREATE PROCEDURE put(id text, headers text, payload text) LANGUAGE sql AS
	$$INSERT INTO eventuate.message (id, destination, headers, payload) VALUES (id, 'c', headers, payload)$$;

--
-- What the functions send
--
SELECT eventuate_send('c', '{"a":1}', 'k', '{"h": "1"}') IS NOT NULL;
SELECT eventuate_send('c', '{"a":1}') IS NOT NULL;
SELECT eventuate_send('c', '{"bb": 1, "a": "\u00e9"}'::jsonb, 'k') IS NOT NULL;
SELECT eventuate_send('c', '{"bb": 1,  "a": "\u00e9"}'::json, '') IS NOT NULL;
SELECT eventuate_produce('t', 'v', 'k', '{"h": "1"}', 3) IS NOT NULL;
SELECT eventuate_produce('t', NULL, 'k') IS NOT NULL;
SELECT eventuate_produce('t', '\x00ff'::bytea, '\xfe'::bytea,
	'[{"key": "a", "value": "1"}, {"key": "a", "value": null}, {"key": "b", "base64": "AP8="}, {"key": "", "value": ""}]') IS NOT NULL;
SELECT eventuate_produce('t', '', '', '{}', 0, '2020-04-07 01:02:03+00') IS NOT NULL;
INSERT INTO eventuate.record (topic, value) VALUES ('t', 'by hand');
SELECT data FROM published;

-- The time of commit, and options that are none
BEGIN;
SELECT eventuate_send('c', '{}') IS NOT NULL;
COMMIT;
SELECT (data::json->>'time')::timestamptz BETWEEN now() - interval '1 hour' AND now()
FROM pg_logical_slot_peek_changes('regress_decode', NULL, NULL);
SELECT data::jsonb ? 'time' FROM pg_logical_slot_get_changes('regress_decode', NULL, NULL, 'include_time', 'off');
SELECT * FROM pg_logical_slot_peek_changes('regress_decode', NULL, NULL, 'include_time', 'maybe');
SELECT * FROM pg_logical_slot_peek_changes('regress_decode', NULL, NULL, 'no_such', '1');

--
-- Headers: as the CDC service writes them
--
CALL put('canonical', '{"b":"2","a":"1","ID":"1"}', '');
CALL put('spaces', E' { "b" : "2" ,\n\t"a" : "1" , "ID" : "1" } ', '');
CALL put('escapes', '{"\u00e9\/\u0009\ud83d\ude00":"\u00e9\/\u000b\u001f\"\\\b\f","ID":"\u0031"}', '');
CALL put('nulls', '{"a":null,"ID":"1","b":"2"}', '');
CALL put('duplicates', '{"a":"1","ID":"1","a":"2"}', '');
CALL put('key', '{"ID":"1","PARTITION_ID":"the \"key\" \u00e9"}', '');
CALL put('empty key', '{"ID":"1","PARTITION_ID":""}', '');
SELECT data FROM published;

--
-- Payloads
--
CALL put('empty', '{"ID":"1"}', '');
CALL put('one byte', '{"ID":"1"}', 'x');
CALL put('invalid', '{"ID":"1"}', '{"a":');
CALL put('quotes', '{"ID":"1"}', '"\/"');
CALL put('astral', '{"ID":"1"}', U&'\+01F600 \00e9 \2028 \007f <&>');
DO $$
DECLARE
	controls text;
BEGIN
	SELECT string_agg(chr(c), '') INTO controls FROM generate_series(1, 31) AS c;
	CALL put('controls', '{"ID":"1"}', controls);
	PERFORM eventuate_send('c', controls, controls);
END
$$;
SELECT data FROM published;

-- Compressed, out of line, both
CREATE TABLE payloads (n serial, payload text);
INSERT INTO payloads (payload) SELECT repeat('"compressible" ', 10000);
INSERT INTO payloads (payload) SELECT string_agg(md5(i::text), '"' ORDER BY i) FROM generate_series(1, 10000) AS i;
INSERT INTO payloads (payload) SELECT repeat(string_agg(md5(i::text), 'é' ORDER BY i), 3) FROM generate_series(1, 1000) AS i;
DO $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT * FROM payloads ORDER BY n LOOP
		CALL put('toast ' || p.n, '{"ID":"1"}', p.payload);
		PERFORM eventuate_send('c', p.payload);
		PERFORM eventuate_produce('t', p.payload, p.n::text, jsonb_build_object('h', p.payload));
	END LOOP;
END
$$;
SELECT pg_column_size(payload) > 2000, count(*) FROM eventuate.message WHERE length(payload) > 10000 GROUP BY 1;
SELECT length(data), coalesce((data::json->'headers'->0->>'value') = payload, (data::json->>'key') IN ('1', '<id>')),
	CASE data::json->>'topic' WHEN 'c' THEN (data::json->>'value')::json->>'payload' ELSE data::json->>'value' END = payload
FROM (SELECT data, row_number() OVER () AS n FROM published) AS p JOIN payloads ON payloads.n = (p.n + 2) / 3
ORDER BY p.n;
DROP TABLE payloads;

--
-- What is not published
--
INSERT INTO eventuate.message (id, destination, headers, payload, published) VALUES ('published', 'c', '{"ID":"1"}', '', 1), ('published -1', 'c', '{"ID":"1"}', '', -1);
INSERT INTO eventuate.message (id, destination, headers, payload, published) VALUES ('null', 'c', '{"ID":"1"}', 'published is null', NULL);
UPDATE eventuate.message SET payload = 'updated';
UPDATE eventuate.message SET published = 0 WHERE published <> 0;
DELETE FROM eventuate.message WHERE id = 'astral';
BEGIN;
CALL put('same transaction', '{"ID":"1"}', 'as inserted');
UPDATE eventuate.message SET payload = 'updated' WHERE id = 'same transaction';
DELETE FROM eventuate.message WHERE id = 'same transaction';
COMMIT;
INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('null', 'c', '{"ID":"1"}', 'DO NOTHING') ON CONFLICT DO NOTHING;
INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('null', 'c', '{"ID":"1"}', 'DO UPDATE')
	ON CONFLICT (id) DO UPDATE SET payload = EXCLUDED.payload;
INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('speculative', 'c', '{"ID":"1"}', 'speculative')
	ON CONFLICT (id) DO UPDATE SET payload = 'not reached';
CREATE TABLE message (LIKE eventuate.message INCLUDING ALL);
INSERT INTO message SELECT * FROM eventuate.message;
BEGIN;
INSERT INTO message (id, destination, headers, payload) VALUES ('other table', 'c', '{"ID":"1"}', '');
CALL put('beside others', '{"ID":"1"}', 'beside others');
COMMIT;
DROP TABLE message;
TRUNCATE eventuate.message, eventuate.record;
-- Restored or copied from elsewhere: the row names another transaction.
INSERT INTO eventuate.message (id, destination, headers, payload, txid) VALUES ('restored', 'c', '{"ID":"1"}', '', '3');
INSERT INTO eventuate.record (topic, txid) VALUES ('t', '3');
SELECT data FROM published;
-- Applied by a subscription
SELECT pg_replication_origin_create('regress_decode') > 0;
SELECT pg_replication_origin_session_setup('regress_decode');
SELECT eventuate_send('c', 'replicated') IS NOT NULL;
SELECT pg_replication_origin_session_reset();
SELECT eventuate_send('c', 'local') IS NOT NULL;
SELECT data FROM published;
SELECT pg_replication_origin_drop('regress_decode');

--
-- Transactions
--
BEGIN;
SELECT eventuate_send('c', 'rolled back') IS NOT NULL;
ROLLBACK;
BEGIN;
SELECT eventuate_send('c', 'first') IS NOT NULL;
SAVEPOINT a;
SELECT eventuate_send('c', 'lost') IS NOT NULL;
ROLLBACK TO a;
SELECT eventuate_produce('t', 'second') IS NOT NULL;
SAVEPOINT b;
SELECT eventuate_send('c', 'third') IS NOT NULL;
SAVEPOINT c;
SELECT eventuate_send('c', 'lost') IS NOT NULL;
ROLLBACK TO c;
RELEASE b;
CALL put('fourth', '{"ID":"1"}', 'fourth');
COMMIT;
DO $$
BEGIN
	FOR i IN 1..4 LOOP
		BEGIN
			PERFORM eventuate_send('c', i::text);
			IF i % 2 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END
$$;
BEGIN;
SELECT eventuate_send('c', 'prepared, committed') IS NOT NULL;
PREPARE TRANSACTION 'regress_commit';
BEGIN;
SELECT eventuate_send('c', 'prepared, aborted') IS NOT NULL;
PREPARE TRANSACTION 'regress_abort';
SELECT eventuate_send('c', 'between') IS NOT NULL;
ROLLBACK PREPARED 'regress_abort';
COMMIT PREPARED 'regress_commit';
-- DDL in the transaction
BEGIN;
SELECT eventuate_send('c', 'before') IS NOT NULL;
ALTER TABLE eventuate.message ADD COLUMN note text DEFAULT 'n';
SELECT eventuate_send('c', 'with column') IS NOT NULL;
ALTER TABLE eventuate.message DROP COLUMN note;
SELECT eventuate_send('c', 'after') IS NOT NULL;
COMMIT;
SELECT CASE data::json->>'topic' WHEN 'c' THEN (data::json->>'value')::json->>'payload' ELSE data::json->>'value' END
FROM published;

-- More than fits in memory: the order is that of sending, all the same.
SET logical_decoding_work_mem = '64kB';
BEGIN;
SELECT count(eventuate_send('c', n::text)) FROM generate_series(1, 2000) AS n;
SAVEPOINT a;
SELECT count(eventuate_send('c', n::text)) FROM generate_series(2001, 4000) AS n;
ROLLBACK TO a;
SELECT count(eventuate_send('c', n::text)) FROM generate_series(2001, 3000) AS n;
COMMIT;
SELECT count(*), bool_and(payload = n) FROM (
	SELECT ((data::json->>'value')::json->>'payload')::int AS payload, row_number() OVER () AS n FROM published) AS p;

--
-- Rows that are no messages
--
CALL put('no object', '[]', '');
CALL put('not JSON', '{"ID":', '');
CALL put('number', '{"ID":1}', '');
CALL put('no ID', '{"a":"1"}', '');
INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('topic', 'a b', '{"ID":"1"}', '');
INSERT INTO eventuate.record (id, topic, headers) VALUES ('headers', 't', '[1]'), ('topic', 'a b', NULL);
CALL put('the next', '{"ID":"1"}', 'is not stopped by them');
SELECT data FROM published;

SELECT pg_drop_replication_slot('regress_decode');
SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP PROCEDURE put;
DROP VIEW published;
DROP FUNCTION mask;
