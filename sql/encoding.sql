--
-- Databases whose encoding is not UTF8.  Kafka gets UTF-8.
--
SET client_encoding = 'UTF8';
SELECT current_database() AS database \gset
CREATE DATABASE regress_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_eucjp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';
-- Ids and dates differ with each run.
\set masked 'regexp_replace(regexp_replace(data, ''[0-9a-f]{16}-[0-9a-f]{16}'', ''<id>'', ''g''), ''[A-Z][a-z]{2}, [^G]* GMT'', ''<date>'', ''g'')'
\pset format unaligned
\pset tuples_only on

\c regress_latin1
SET client_encoding = 'UTF8';
CREATE EXTENSION eventuate;
SELECT 1 FROM pg_create_logical_replication_slot('regress_encoding', 'eventuate');
SELECT eventuate_send('c', 'é', 'ü', '{"ä": "ö\u00df"}') IS NOT NULL;
SELECT octet_length(payload), octet_length(headers) - octet_length(convert_to(headers, 'UTF8')) FROM eventuate.message;
SELECT eventuate_send('c', '"é"'::json) IS NOT NULL;
SELECT eventuate_send('c', '"é"'::jsonb) IS NOT NULL;
SELECT eventuate_produce('t', 'é', 'ü', '{"ä": "ö"}') IS NOT NULL;
SELECT eventuate_produce('t', '"é"'::jsonb, '\xe9'::bytea, '[{"key": "ä", "value": "ö"}, {"key": "b", "base64": "6Q=="}]') IS NOT NULL;
SELECT key, value FROM eventuate.record ORDER BY id;
-- Sizes are those in UTF-8.
SELECT eventuate_produce('t', repeat('é', 499950)) IS NOT NULL;
SELECT eventuate_produce('t', repeat('é', 499950) || 'x');
SELECT eventuate_produce('t', repeat('x', 999886), headers => '{"h": "éx"}') IS NOT NULL;
SELECT eventuate_produce('t', repeat('x', 999887), headers => '{"h": "éx"}');
-- Escapes of JSON bring characters that the database cannot hold.
INSERT INTO eventuate.message (id, destination, headers, payload) VALUES
	('1', 'c', '{"ID": "\u4e2d", "\ud83d\ude00": "\u00e9\\\u8868"}', 'é');
SELECT :masked
FROM pg_logical_slot_peek_changes('regress_encoding', NULL, NULL, 'include_time', 'off') WHERE length(data) < 1000;
SELECT pg_drop_replication_slot('regress_encoding');

\c regress_eucjp
SET client_encoding = 'UTF8';
CREATE EXTENSION eventuate;
SELECT 1 FROM pg_create_logical_replication_slot('regress_encoding', 'eventuate');
SELECT eventuate_send('c', '表 "能"', '\', '{"ソ": "ソ"}') IS NOT NULL;
-- Bytes that this encoding may hold, but that have no UTF-8 form
SELECT eventuate_send('c', convert_from('\xa2af', 'EUC_JP'));
SELECT eventuate_send('c', '{}', convert_from('\xa2af', 'EUC_JP'));
SELECT eventuate_send('c', '{}', NULL, jsonb_build_object('h', convert_from('\xa2af', 'EUC_JP')));
SELECT eventuate_produce('t', convert_from('\xa2af', 'EUC_JP'));
SELECT eventuate_produce('t', 'v', convert_from('\xa2af', 'EUC_JP'));
SELECT eventuate_produce('t', 'v', headers => jsonb_build_object(convert_from('\xa2af', 'EUC_JP'), 'v'));
SELECT eventuate_produce('t', 'v', headers => jsonb_build_array(jsonb_build_object('key', 'h', 'value', convert_from('\xa2af', 'EUC_JP'))));
SELECT :masked
FROM pg_logical_slot_peek_changes('regress_encoding', NULL, NULL, 'include_time', 'off');
SELECT pg_drop_replication_slot('regress_encoding');

\c regress_ascii
SET client_encoding = 'SQL_ASCII';
CREATE EXTENSION eventuate;
SELECT 1 FROM pg_create_logical_replication_slot('regress_encoding', 'eventuate');
SELECT eventuate_send('c', E'\303\251', E'\303\274', jsonb_build_object(E'\303\244', E'\303\266')) IS NOT NULL;
SELECT eventuate_produce('t', E'\303\251', E'\303\274', jsonb_build_object(E'\303\244', E'\303\266')) IS NOT NULL;
SELECT eventuate_produce('t', '\xe9'::bytea, '\xe9'::bytea) IS NOT NULL;
SELECT eventuate_send('c', E'\351');
SELECT eventuate_send('c', '{}', E'\351');
SELECT eventuate_send('c', '{}', NULL, jsonb_build_object('h', E'\351'));
SELECT eventuate_produce('t', E'\351');
SELECT eventuate_produce('t', 'v', E'\351');
SELECT eventuate_produce('t', 'v', headers => jsonb_build_object('h', E'\351'));
SELECT :masked
FROM pg_logical_slot_peek_changes('regress_encoding', NULL, NULL, 'include_time', 'off');
SELECT pg_drop_replication_slot('regress_encoding');

\c :database
DROP DATABASE regress_latin1 WITH (FORCE);
DROP DATABASE regress_ascii WITH (FORCE);
DROP DATABASE regress_eucjp WITH (FORCE);
