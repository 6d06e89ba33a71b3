--
-- Tables that are attached: what becomes of their rows.
--
CREATE EXTENSION eventuate;
SELECT 1 AS created FROM pg_create_logical_replication_slot('regress_attach', 'eventuate');
\pset format unaligned
\pset tuples_only on
CREATE VIEW published AS
	SELECT data FROM pg_logical_slot_get_changes('regress_attach', NULL, NULL, 'include_time', 'off');

--
-- Tram's table under another name, any order of columns, none that need not be
--
CREATE SCHEMA orders;
CREATE TABLE orders.message (payload jsonb, headers json, destination varchar(1000), id uuid DEFAULT gen_random_uuid());
INSERT INTO orders.message VALUES ('{"a": 1}', '{"ID":"before"}', 'c');
SELECT eventuate_attach('orders.message', 'eventuate');
INSERT INTO orders.message VALUES ('{"b":  2}', '{"ID":"1", "PARTITION_ID":"k"}', 'c');
-- A label of before counts for what was written before
BEGIN;
INSERT INTO orders.message VALUES ('3', '{"ID":"2"}', 'c');
SELECT eventuate_detach('orders.message');
INSERT INTO orders.message VALUES ('4', '{"ID":"not attached"}', 'c');
COMMIT;
INSERT INTO orders.message VALUES ('5', '{"ID":"not attached"}', 'c');
SELECT data FROM published;
SELECT eventuate_detach('orders.message');

-- Rows that are there already
SELECT eventuate_attach('orders.message', 'eventuate', publish_existing => true);
INSERT INTO orders.message VALUES ('6', '{"ID":"after"}', 'c');
SELECT data FROM published;

--
-- Ids that the database gives, in shards
--
CREATE TABLE orders.message3 (
	dbid bigserial PRIMARY KEY, id varchar(1000), destination text NOT NULL, headers text NOT NULL, payload text NOT NULL,
	published smallint DEFAULT 0, message_partition smallint, creation_time bigint);
SELECT setval('orders.message3_dbid_seq', 1700000000122);
SELECT eventuate_attach('orders.message3', 'eventuate', outbox_id => 1);
INSERT INTO orders.message3 (id, destination, headers, payload) VALUES
	('', 'c', '{"PARTITION_ID":"k"}', '{}'),
	('', 'c', '{}', '{}'),
	('x', 'c', '{"ID":"given"}', '{}');
INSERT INTO orders.message3 (id, destination, headers, payload, published) VALUES ('', 'c', '{}', '{}', 1);
-- The options of a table that is attached can be changed
SELECT eventuate_attach('orders.message3', 'eventuate');
INSERT INTO orders.message3 (id, destination, headers, payload) VALUES ('', 'c', '{}', '{}');
SELECT data FROM published;

--
-- A partitioned table: its partitions, with columns in another order
--
CREATE TABLE parted (id text, destination text, headers text, payload text) PARTITION BY LIST (destination);
CREATE TABLE parted_a (payload text, id text, headers text, destination text);
ALTER TABLE parted ATTACH PARTITION parted_a FOR VALUES IN ('a');
SELECT eventuate_attach('parted', 'eventuate');
CREATE TABLE parted_b PARTITION OF parted DEFAULT PARTITION BY HASH (id);
CREATE TABLE parted_b0 PARTITION OF parted_b FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO parted VALUES ('1', 'a', '{"ID":"1"}', 'one'), ('2', 'b', '{"ID":"2"}', 'two');
UPDATE parted SET payload = 'updated' WHERE id = '2';
SELECT data FROM published;
-- Without a txid a row that moves to another partition is a new one
UPDATE parted SET destination = 'a' WHERE id = '2';
SELECT data FROM published;
BEGIN;
ALTER TABLE parted ADD txid xid8 DEFAULT pg_current_xact_id();
COMMIT;
UPDATE parted SET destination = 'b' WHERE id = '2';
SELECT data FROM published;
ALTER TABLE parted DETACH PARTITION parted_a;
INSERT INTO parted_a (id, destination, headers, payload) VALUES ('3', 'a', '{"ID":"3"}', 'not anymore');
SELECT data FROM published;

--
-- Eventuate Local's events
--
CREATE TABLE orders.events (
	id bigint, event_id varchar(1000), event_type varchar(1000), event_data varchar(1000) NOT NULL,
	entity_type varchar(1000) NOT NULL, entity_id varchar(1000) NOT NULL, triggering_event varchar(1000),
	metadata varchar(1000), published smallint DEFAULT 0);
SELECT eventuate_attach('orders.events', 'eventuate-events', outbox_id => 7);
INSERT INTO orders.events (event_id, event_type, event_data, entity_type, entity_id) VALUES
	('0000018bcfe5687b-0242ac1200020000', 'et', '{}', 'com.acme.A$B', 'e');
INSERT INTO orders.events (id, event_id, event_type, event_data, entity_type, entity_id, metadata) VALUES
	(1700000000123, '', 'et', '{"a":"\"é"}', 't', 'e', '{"m":"1"}'),
	(1700000000124, NULL, NULL, '', 't', '', NULL),
	(NULL, NULL, 'et', '', 't', 'e', NULL);
SELECT data FROM published;

--
-- Debezium's outbox
--
CREATE TABLE outbox (
	id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb);
SELECT eventuate_attach('outbox', 'debezium', placements => 'type:header:eventType');
INSERT INTO outbox VALUES ('406c07f3-26f0-4eea-a50c-109940064b8f', 'Order', '1', 'OrderCreated', '{"id": 1}');
SELECT eventuate_attach('outbox', 'debezium', topic => '${routedByValue}.events', topics => '[A-Z]\w+\.events');
INSERT INTO outbox VALUES
	('406c07f3-26f0-4eea-a50c-109940064b90', 'Order', '1', 'OrderCreated', '"x"'),
	('406c07f3-26f0-4eea-a50c-109940064b91', 'order', '1', 'OrderCreated', '"x"');
SELECT data FROM published;

-- Payloads that Debezium expands in no certain way, or dies of, and others
CREATE TABLE expanded (id serial, aggregatetype text DEFAULT 't', aggregateid text DEFAULT '1', payload text);
SELECT eventuate_attach('expanded', 'debezium', expand_json => true);
INSERT INTO expanded (payload) VALUES
	('{"a": [{"x": 1, "y": {"b": 2}, "z": [{"p": 1}]}, {"w": 1, "y": {"c": null, "d": 3}, "z": [{"q": 2}]}, null]}'),
	('{"a": [{"x": 1}, {"x": "s"}]}'), ('{"a": [[1], ["x"]]}'), ('{"a": [[{"b": 1}], [2]]}'),
	('[{"a": 1}]'), ('[1, 2]'), ('{"a": 9223372036854775808}'), ('{"a": [1.5, 9223372036854775808]}'), ('{"a": "\ud800"}'),
	('{"a": ' || repeat('[', 2000)),
	('{"a": [' || (SELECT string_agg(format('{"x%s": 1}', n), ',') FROM generate_series(1, 10000) AS n) || ']}');
SELECT left(data, 300) FROM published;

-- Values that have no form there
CREATE TABLE odd_values (id int, aggregatetype text, aggregateid text, payload text, at timestamp, d date, n numeric(5, 1));
SELECT eventuate_attach('odd_values', 'debezium', columns => '{"timestamp": "at"}', placements => 'd:header,n:header');
INSERT INTO odd_values VALUES (1, 't', '1', 'x', 'infinity', NULL, NULL), (2, 't', '1', 'x', '1969-12-31', NULL, NULL),
	(3, 't', '1', 'x', NULL, '-infinity', NULL), (4, 't', '1', 'x', NULL, NULL, 'NaN'), (NULL, 't', '1', 'x', NULL, NULL, NULL),
	(6, NULL, '1', 'x', NULL, NULL, NULL);
SELECT data FROM published;

--
-- Plain records, from whatever there is
--
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN name_of_topic AS text;
CREATE TABLE measurement (station int, at timestamptz, degrees numeric, mood mood, to_topic name_of_topic, part int2, more json);
SELECT eventuate_attach('measurement', 'raw', columns => '{"key": "station", "value": "degrees", "timestamp": "at", "topic": "to_topic", "partition": "part", "headers": "more"}');
INSERT INTO measurement VALUES
	(17, '2020-04-07 01:02:03+00', 1.50, NULL, 't', 3, '{"b": "1", "a": "2"}'),
	(NULL, NULL, NULL, NULL, 't', NULL, NULL),
	(1, NULL, 1, NULL, NULL, NULL, NULL),
	(1, NULL, 1, NULL, 't', -1, NULL),
	(1, NULL, 1, NULL, 't', 1, '{"a": 1}');
SELECT eventuate_attach('measurement', 'raw', columns => '{"key": "station", "value": "mood"}', topic => 'moods');
INSERT INTO measurement (station, mood) VALUES (17, 'happy');
SELECT data FROM published;

--
-- The text of values is the same, whatever is set; those who set it keep it
--
CREATE TABLE formed (at timestamptz, d date, i interval, f float8, b bytea[], r regclass);
INSERT INTO formed VALUES ('2020-04-07 01:02:03.5+02', '2020-04-07', '-1 day 2:03:04', 0.1::float4, '{\\x01ff}', 'measurement');
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Kolkata';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SET quote_all_identifiers = on;
\set ECHO none
-- Each column twice: of the row that is there, and of a new one
SELECT format('SELECT eventuate_attach(%L, %L, columns => %L, topic => %L, publish_existing => true, retention => %L)',
		'formed', 'raw', jsonb_build_object('value', name, 'timestamp', 'at'), name, '1 day 2:03:04'),
	'INSERT INTO formed SELECT * FROM formed', 'DELETE FROM formed WHERE ctid > (SELECT min(ctid) FROM formed)'
FROM unnest('{at,d,i,f,b,r}'::text[]) AS name \gexec
\set ECHO all
SELECT data FROM published;
SELECT options->>'retention' FROM pg_stat_eventuate_outbox WHERE relname = 'formed';
SELECT * FROM formed;
RESET ALL;

--
-- What cannot be attached
--
\set VERBOSITY default
CREATE TEMP TABLE temporary (topic text, value text);
CREATE UNLOGGED TABLE unlogged (topic text, value text);
CREATE VIEW look AS SELECT * FROM orders.message;
CREATE TYPE pair AS (a int, b int);
CREATE TABLE odd (topic text, value pair, headers text);
SELECT eventuate_attach('temporary', 'raw');
SELECT eventuate_attach('unlogged', 'raw');
SELECT eventuate_attach('look', 'eventuate');
SELECT eventuate_attach('pg_class', 'raw');
SELECT eventuate_attach(0, 'raw');
SELECT eventuate_attach(NULL, 'raw');
SELECT eventuate_attach('odd', NULL);
SELECT eventuate_attach('odd', 'avro');
SELECT eventuate_attach('odd', 'raw');
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "topic"}');
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "topic", "headers": null}', topic => 't');
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "nothing"}');
SELECT eventuate_attach('odd', 'raw', columns => '{"no_such": "topic"}');
SELECT eventuate_attach('odd', 'raw', columns => '["topic"]');
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "topic", "headers": null, "topic": null}', topic => 't', topics => '(');
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "topic", "headers": null, "topic": null}', topic => 't', topics => '(a*)*\1');
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "topic", "headers": null, "topic": null}', topic => 't', topics => repeat('t|', 5000));
SELECT eventuate_attach('odd', 'raw', columns => '{"value": "topic", "headers": null, "topic": null}', topic => 'a b');
SELECT eventuate_attach('odd', 'eventuate');
SELECT eventuate_attach('odd', 'eventuate', outbox_id => -1);
SELECT eventuate_attach('outbox', 'debezium', placements => 'nothing:header');
SELECT eventuate_attach('outbox', 'debezium', placements => 'type:envelope');
SELECT eventuate_attach('outbox', 'debezium', placements => 'type:header,,');
SELECT eventuate_attach('outbox', 'debezium', placements => 'type:header:a:b');
SELECT eventuate_attach('outbox', 'debezium', placements => 'type:partition');
SELECT eventuate_attach('measurement', 'debezium', columns => '{"id": "part", "topic": "to_topic", "key": "part", "value": "mood"}', placements => 'degrees:header');
SELECT eventuate_attach('outbox', 'debezium', columns => '{"id": "aggregateid", "value": "id"}', expand_json => true);
SELECT eventuate_attach('odd', 'raw', expand_json => true);
SELECT eventuate_attach('odd', 'raw', reader => 'guessing');
SELECT eventuate_attach('odd', 'raw', poll_interval => '0');
CREATE UNLOGGED TABLE unmarked (id int, topic text, value text, creation_time timestamptz);
SELECT eventuate_attach('unmarked', 'raw', reader => 'polling', retention => '1 hour');
ALTER TABLE unmarked DROP creation_time;
SELECT eventuate_attach('unmarked', 'raw', reader => 'polling', columns => '{"published": "id"}', retention => '1 hour');
DROP TABLE unmarked;
SELECT eventuate_detach('odd');
BEGIN READ ONLY;
SELECT eventuate_attach('orders.message', 'eventuate');
ROLLBACK;

-- A row that cannot be published: nothing is attached
CREATE TABLE poisoned (id text, destination text, headers text, payload text);
INSERT INTO poisoned VALUES ('1', 'a', '{"ID":"1"}', ''), ('2', 'a', 'none', '');
SELECT eventuate_attach('poisoned', 'eventuate', publish_existing => true);
INSERT INTO poisoned VALUES ('1', 'a', '{"ID":"1"}', '');

-- What is detached is no outbox, whatever else it was; a long label is one
SELECT eventuate_detach('eventuate.message');
SELECT eventuate_send('c', '{}');
SELECT eventuate_attach('eventuate.message', 'eventuate', topics => 'c|' || (SELECT string_agg(md5(n::text), '|') FROM generate_series(1, 300) AS n));
BEGIN;
SELECT eventuate_send('c', 'sent', 'k') IS NOT NULL;
SELECT eventuate_send('d', 'not allowed', 'k') IS NOT NULL;
COMMIT;
SELECT regexp_replace(data, '[0-9a-f]{16}-[0-9a-f]{16}|\w{3}, \d+ \w{3} \d+ [\d:]+ GMT', '...', 'g') FROM published;
ALTER TABLE eventuate.record SET UNLOGGED;
CREATE TABLE logged (topic text, value text);
SELECT eventuate_attach('logged', 'raw');
ALTER TABLE logged SET UNLOGGED;
SELECT eventuate_detach('logged');
ALTER TABLE logged SET UNLOGGED;

-- Partitions are logged and here
CREATE FOREIGN DATA WRAPPER regress_elsewhere;
CREATE SERVER regress_elsewhere FOREIGN DATA WRAPPER regress_elsewhere;
CREATE TABLE mixed (topic text, value text) PARTITION BY LIST (topic);
CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES IN ('far') SERVER regress_elsewhere;
SELECT eventuate_attach('mixed', 'raw');
ALTER TABLE mixed DETACH PARTITION mixed_far;
CREATE UNLOGGED TABLE mixed_sub PARTITION OF mixed DEFAULT;
SELECT eventuate_attach('mixed', 'raw');
ALTER TABLE mixed_sub SET LOGGED;
SELECT eventuate_attach('mixed', 'raw');
ALTER TABLE mixed_sub SET UNLOGGED;
ALTER TABLE mixed ATTACH PARTITION mixed_far FOR VALUES IN ('far');
CREATE FOREIGN TABLE mixed_away PARTITION OF mixed FOR VALUES IN ('away') SERVER regress_elsewhere;
CREATE UNLOGGED TABLE mixed_fast PARTITION OF mixed FOR VALUES IN ('fast');
CREATE TABLE mixed_b PARTITION OF mixed FOR VALUES IN ('b') PARTITION BY LIST (value);
CREATE UNLOGGED TABLE mixed_bc PARTITION OF mixed_b DEFAULT;
SELECT eventuate_detach('mixed');
CREATE UNLOGGED TABLE mixed_bc PARTITION OF mixed_b DEFAULT;
CREATE TABLE asked (id int, topic text, value text) PARTITION BY LIST (topic);
SELECT eventuate_attach('asked', 'raw', reader => 'polling');
CREATE FOREIGN TABLE asked_far PARTITION OF asked FOR VALUES IN ('far') SERVER regress_elsewhere;
CREATE TABLE asked_near PARTITION OF asked FOR VALUES IN ('near');
ALTER TABLE asked_near SET UNLOGGED;
DROP TABLE asked;
CREATE TABLE pending (id int, topic text, value text);
SELECT eventuate_attach('pending', 'raw', reader => 'polling');
SELECT eventuate_attach('pending', 'raw');
SELECT eventuate_attach('pending', 'raw', publish_existing => true);
SELECT eventuate_attach('pending', 'raw', reader => 'polling', poll_interval => '1s');
SELECT eventuate_detach('pending');
SELECT eventuate_attach('pending', 'raw');
DROP TABLE pending;
DROP FOREIGN DATA WRAPPER regress_elsewhere CASCADE;

-- Whose table it is, and to whom it is granted
CREATE ROLE regress_owner;
CREATE ROLE regress_other;
GRANT CREATE ON SCHEMA public TO regress_owner;
SET ROLE regress_owner;
CREATE TABLE own (topic text, value text);
INSERT INTO own VALUES ('t', 'there already');
SELECT eventuate_attach('own', 'raw');
SECURITY LABEL FOR eventuate ON TABLE own IS '{"format": "raw"}';
RESET ROLE;
GRANT EXECUTE ON FUNCTION eventuate_attach, eventuate_detach TO regress_owner, regress_other;
SET ROLE regress_other;
SELECT eventuate_attach('own', 'raw');
SET ROLE regress_owner;
SELECT eventuate_attach('own', 'raw', publish_existing => true);
SELECT eventuate_attach('outbox', 'debezium');
INSERT INTO own VALUES ('t', 'new');
SET ROLE regress_other;
SELECT eventuate_detach('own');
SET ROLE regress_owner;
SELECT eventuate_detach('own');
RESET ROLE;
SELECT data FROM published;

DROP OWNED BY regress_owner, regress_other;
DROP ROLE regress_owner, regress_other;
SELECT pg_drop_replication_slot('regress_attach');
DROP EXTENSION eventuate CASCADE;
DROP SCHEMA orders CASCADE;
DROP VIEW published;
DROP TABLE parted, parted_a, outbox, expanded, odd_values, measurement, odd, unlogged, poisoned, logged, mixed;
DROP TYPE mood, name_of_topic, pair;
