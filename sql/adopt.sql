--
-- eventuate_send() into tables message that others made: layouts of Eventuate
-- over the years, and what users do to them.
--
CREATE FUNCTION mask(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(regexp_replace($1,
		'[0-9a-f]{16}-[0-9a-f]{16}', '<id>', 'g'),
		'[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT', '<date>', 'g')
$$;
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ': ' || message;
END
$$;
-- What a call stores, whatever the columns
CREATE FUNCTION sent() RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE $q$
		SELECT mask(to_jsonb(m)::text)::jsonb - 'creation_time' - 'txid' - 'dbid' ||
			jsonb_build_object('creation_time', (to_jsonb(m)->>'creation_time')::int8 =
								floor(extract(epoch FROM now()) * 1000),
							   'txid', (to_jsonb(m)->>'txid') = pg_current_xact_id()::text)
		FROM eventuate.message AS m ORDER BY id $q$;
END
$$;
CREATE PROCEDURE send() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM eventuate_send('c', '{ "a" : 1 }', 'k', '{"h": "1"}');
END
$$;
\pset format unaligned
\pset tuples_only on

--
-- HEAD: common 0.16 and later
--
CREATE SCHEMA eventuate;
CREATE TABLE eventuate.message (
	id varchar(1000) PRIMARY KEY,
	destination text NOT NULL,
	headers text NOT NULL,
	payload text NOT NULL,
	published smallint DEFAULT 0,
	message_partition smallint,
	creation_time bigint
);
CREATE INDEX message_published_idx ON eventuate.message (published, id);
CREATE EXTENSION eventuate;
-- Adopted: no member of the extension, and as it was
SELECT count(*) FROM pg_depend WHERE objid = 'eventuate.message'::regclass AND deptype = 'e';
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'eventuate.message'::regclass AND attnum > 0 ORDER BY attnum;
BEGIN; CALL send(); SELECT sent(); COMMIT;
TRUNCATE eventuate.message;

--
-- 0.24: everything varchar(1000)
--
ALTER TABLE eventuate.message
	DROP COLUMN message_partition,
	ALTER COLUMN destination TYPE varchar(1000),
	ALTER COLUMN headers TYPE varchar(1000),
	ALTER COLUMN payload TYPE varchar(1000);
BEGIN; CALL send(); SELECT sent(); COMMIT;
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', 1000)) $$);
SELECT attempt($$ SELECT eventuate_send('c', repeat('é', 1000)) $$);
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', 1001)) $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => jsonb_build_object('h', repeat('x', 1000))) $$);
TRUNCATE eventuate.message;

--
-- JSON columns, at the end
--
ALTER TABLE eventuate.message DROP COLUMN headers, DROP COLUMN payload;
ALTER TABLE eventuate.message ADD COLUMN payload json, ADD COLUMN headers json;
BEGIN; CALL send(); SELECT sent(); SELECT payload, mask(headers::text) FROM eventuate.message; COMMIT;
SELECT attempt($$ SELECT eventuate_send('c', 'no json') $$);
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message ALTER COLUMN payload TYPE jsonb, ALTER COLUMN headers TYPE jsonb;
BEGIN; CALL send(); SELECT sent(); COMMIT;
TRUNCATE eventuate.message;

--
-- Keys that the database generates
--
DROP TABLE eventuate.message;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
CREATE SEQUENCE eventuate.message_table_id_sequence START 1700000000000;
CREATE TABLE eventuate.message (
	dbid bigint NOT NULL DEFAULT nextval('eventuate.message_table_id_sequence') PRIMARY KEY,
	id varchar(1000),
	destination text NOT NULL,
	headers text NOT NULL,
	payload text NOT NULL,
	published smallint DEFAULT 0,
	message_partition smallint,
	creation_time bigint
);
BEGIN; CALL send(); CALL send(); SELECT sent(); SELECT array_agg(dbid ORDER BY id) FROM eventuate.message; COMMIT;
TRUNCATE eventuate.message;

--
-- A column of our own kind, defaults, generated and identity columns
--
ALTER TABLE eventuate.message DROP COLUMN dbid;
BEGIN; CALL send(); SELECT sent(); COMMIT;
ALTER TABLE eventuate.message ADD COLUMN txid xid8 NOT NULL DEFAULT pg_current_xact_id();
TRUNCATE eventuate.message;
BEGIN; CALL send(); SELECT sent(); COMMIT;
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message ALTER COLUMN message_partition SET DEFAULT 3;
BEGIN; CALL send(); SELECT sent(); COMMIT;
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message ALTER COLUMN message_partition DROP DEFAULT,
	ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY,
	ADD COLUMN size int GENERATED ALWAYS AS (length(payload)) STORED,
	ADD COLUMN note text;
BEGIN; CALL send(); SELECT sent(); COMMIT;
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message DROP COLUMN seq, DROP COLUMN size, DROP COLUMN note;
CREATE DOMAIN channel AS text CHECK (VALUE <> 'forbidden');
ALTER TABLE eventuate.message ALTER COLUMN destination TYPE channel;
BEGIN; CALL send(); SELECT sent(); COMMIT;
SELECT attempt($$ SELECT eventuate_send('forbidden', '{}') $$);
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message ALTER COLUMN destination TYPE text;

-- Columns that are not there, or not filled
ALTER TABLE eventuate.message DROP COLUMN published, DROP COLUMN creation_time, DROP COLUMN message_partition, DROP COLUMN txid;
BEGIN; CALL send(); SELECT sent(); COMMIT;
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message ADD COLUMN must int NOT NULL;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
ALTER TABLE eventuate.message DROP COLUMN must;
ALTER TABLE eventuate.message RENAME COLUMN destination TO channel;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
DROP TABLE eventuate.message;

--
-- Partitioned, a partition, inherited, a view
--
CREATE TABLE eventuate.message (id text, destination text, headers text, payload text)
	PARTITION BY LIST (destination);
CREATE TABLE message_a PARTITION OF eventuate.message FOR VALUES IN ('a');
CREATE TABLE message_c PARTITION OF eventuate.message FOR VALUES IN ('c');
BEGIN; CALL send(); SELECT sent(); COMMIT;
SELECT tableoid::regclass FROM eventuate.message;
SELECT attempt($$ SELECT eventuate_send('b', '{}') $$);
DROP TABLE eventuate.message;
CREATE TABLE messages (id text, destination text, headers text, payload text) PARTITION BY LIST (destination);
CREATE TABLE eventuate.message PARTITION OF messages FOR VALUES IN ('c');
BEGIN; CALL send(); SELECT sent(); COMMIT;
SELECT attempt($$ SELECT eventuate_send('b', '{}') $$);
DROP TABLE messages;
CREATE TABLE messages (id text, destination text, headers text, payload text);
CREATE VIEW eventuate.message AS SELECT * FROM messages;
BEGIN; CALL send(); SELECT sent(); COMMIT;
DROP TABLE messages CASCADE;

SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP SCHEMA eventuate CASCADE;

--
-- What is there before the extension: shards, a table whose keys become ids,
-- and something else by such a name
--
CREATE SCHEMA eventuate;
CREATE TABLE eventuate.message (dbid bigserial PRIMARY KEY, id varchar(1000), destination text NOT NULL,
	headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, creation_time bigint);
CREATE TABLE eventuate.message0 (id text, destination text, headers text, payload text);
CREATE TABLE eventuate.message10 (LIKE eventuate.message0) PARTITION BY LIST (id);
CREATE TABLE eventuate.message2 (a int);
CREATE ROLE regress_owner;
ALTER TABLE eventuate.message0 OWNER TO regress_owner;
CREATE EXTENSION eventuate;
SELECT objoid::regclass, label::jsonb - 'since' FROM pg_seclabel WHERE objoid::regclass::text LIKE '%message%' ORDER BY 1;
SELECT eventuate_send('c', '{}');
SELECT eventuate_attach('eventuate.message', 'eventuate', outbox_id => 1);
BEGIN; CALL send(); SELECT sent(); COMMIT;

-- A publication of everything asks for replica identities
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT eventuate_pause();
SELECT eventuate_resume();
DROP PUBLICATION everything;

DROP EXTENSION eventuate CASCADE;
DROP SCHEMA eventuate CASCADE;
DROP ROLE regress_owner;
DROP DOMAIN channel;
DROP FUNCTION mask, attempt, sent;
DROP PROCEDURE send;
