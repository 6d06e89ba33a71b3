--
-- Every layout of Eventuate's table message, written by the INSERTs of the
-- producers of its time: the record is the one that the CDC service makes,
-- byte by byte.
--
CREATE EXTENSION eventuate;
SELECT 1 AS created FROM pg_create_logical_replication_slot('regress_variants', 'eventuate');
\pset format unaligned
\pset tuples_only on

-- What is sent, and the key and value that belong to it
CREATE TABLE vector (n int, id text, headers text, payload text, key text, value text);
INSERT INTO vector VALUES
	(1, '0000018bcfe5687b-0242ac1200020000',
	 '{"PARTITION_ID":"101","event-aggregate-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer","DATE":"Tue, 14 Nov 2023 22:13:20 GMT","event-aggregate-id":"101","event-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.CustomerCreditReservedEvent","DESTINATION":"c"',
	 '{"customerId":101,"orderId":102}', '101',
	 '{"payload":"{\"customerId\":101,\"orderId\":102}","headers":{"PARTITION_ID":"101","event-aggregate-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer","DATE":"Tue, 14 Nov 2023 22:13:20 GMT","event-aggregate-id":"101","event-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.CustomerCreditReservedEvent","DESTINATION":"c","ID":"0000018bcfe5687b-0242ac1200020000"}}'),
	(2, '0000018bcfe5687b-0242ac1200020001', '{"DATE":"Tue, 7 Apr 2020 01:02:03 GMT","DESTINATION":"c"',
	 E'{ "a":"\u00e9\U0001d11e / \\\\ \\"q\\" \\u000b",\n\t"b":1.50}', NULL,
	 E'{"payload":"{ \\"a\\":\\"\u00e9\U0001d11e / \\\\\\\\ \\\\\\"q\\\\\\" \\\\u000b\\",\\n\\t\\"b\\":1.50}","headers":{"DATE":"Tue, 7 Apr 2020 01:02:03 GMT","DESTINATION":"c","ID":"0000018bcfe5687b-0242ac1200020001"}}');

-- The layouts, with the type of headers and payload
CREATE TABLE layout (name text, ddl text, type text);
INSERT INTO layout VALUES
	('Tram 0.3', 'id varchar(1000) PRIMARY KEY, destination varchar(1000) NOT NULL, headers varchar(1000) NOT NULL, payload varchar(1000) NOT NULL, published smallint DEFAULT 0', 'varchar'),
	('Tram 0.24', 'id varchar(1000) PRIMARY KEY, destination varchar(1000) NOT NULL, headers varchar(1000) NOT NULL, payload varchar(1000) NOT NULL, published smallint DEFAULT 0, creation_time bigint', 'varchar'),
	('Tram 0.25 to 0.30', 'id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, creation_time bigint', 'text'),
	('Tram 0.31 and later', 'id varchar(1000) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint', 'text'),
	('JSON', 'id varchar(1000) PRIMARY KEY, destination text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint, payload json, headers json', 'json'),
	('Flyway', 'id varchar(255) PRIMARY KEY, destination text NOT NULL, headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint', 'text'),
	('database ids', 'dbid bigint NOT NULL DEFAULT nextval($$variant.message_table_id_sequence$$) PRIMARY KEY, id varchar(1000), destination text NOT NULL, headers text NOT NULL, payload text NOT NULL, published smallint DEFAULT 0, message_partition smallint, creation_time bigint', 'text');

-- The producers
CREATE TABLE producer (name text, command text);
INSERT INTO producer VALUES
	('0.03', 'INSERT INTO %s (id, destination, headers, payload) VALUES ($1, $2, $3, $4)'),
	('0.24', 'INSERT INTO %s (id, destination, headers, payload, creation_time) VALUES ($1, $2, $3, $4, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000))'),
	('0.25', 'INSERT INTO %s (id, destination, headers, payload, creation_time) VALUES ($1, $2, $3::%2$s, $4::%2$s, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000))'),
	('0.27', 'INSERT INTO %s (id, destination, headers, payload, creation_time, published) VALUES ($1, $2, $3::%2$s, $4::%2$s, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), $5)'),
	('0.31', 'INSERT INTO %s (id, destination, headers, payload, creation_time, published, message_partition) VALUES ($1, $2, $3::%2$s, $4::%2$s, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), $5, 3)');

CREATE PROCEDURE produce(by_producer text, target text, type text, dbid bool) LANGUAGE plpgsql AS $$
DECLARE
	v vector;
	sql text;
	row record;
BEGIN
	SELECT format(command, target, type) INTO sql FROM producer WHERE name = by_producer;
	FOR v IN SELECT * FROM vector ORDER BY n LOOP
		IF dbid THEN
			-- The key comes back as JDBC asks for it
			EXECUTE sql || ' RETURNING *' INTO row USING '', 'c', v.headers || '}', v.payload, 0;
		ELSE
			EXECUTE sql USING v.id, 'c', v.headers || ',"ID":"' || v.id || '"}', v.payload, 0;
		END IF;
	END LOOP;
	IF sql LIKE '%published%' THEN
		EXECUTE sql USING 'published', 'c', '{"ID":"published"}', '{}', 1;
	END IF;
END
$$;

-- Of each pair of layout and producer that go together: how many records are
-- what they should be, and those that are not
CREATE PROCEDURE try(wanted text, target text, first_producer text, dbid bool DEFAULT false) LANGUAGE plpgsql AS $$
DECLARE
	l layout;
	producers text[];
	by_producer text;
BEGIN
	SELECT * INTO l FROM layout WHERE name = wanted;
	SELECT array_agg(name ORDER BY name::numeric) INTO producers FROM producer
	WHERE name::numeric >= first_producer::numeric AND
		(l.ddl LIKE '%message_partition%' OR name <> '0.31') AND (l.ddl LIKE '%creation_time%' OR name = '0.03');
	FOREACH by_producer IN ARRAY producers LOOP
		EXECUTE format('CREATE TABLE %s (%s)', target, l.ddl);
		PERFORM eventuate_attach(target::regclass, 'eventuate', outbox_id => CASE WHEN dbid THEN 1 END);
		CALL produce(by_producer, target, l.type, dbid);
		EXECUTE format('DROP TABLE %s', target);
		COMMIT;
	END LOOP;
END
$$;
CREATE VIEW record AS
	SELECT row_number() OVER () AS place, data::jsonb->>'key' AS key, data::jsonb->>'value' AS value, data
	FROM pg_logical_slot_get_changes('regress_variants', NULL, NULL, 'include_time', 'off');
-- Both records of each producer, and nothing else
CREATE FUNCTION wrong(OUT records bigint, OUT wrong text) RETURNS record LANGUAGE sql AS $$
	SELECT count(*), string_agg(r.data, E'\n') FILTER (WHERE v.value IS DISTINCT FROM r.value OR coalesce(v.key, v.id) IS DISTINCT FROM r.key)
	FROM record AS r LEFT JOIN vector AS v ON v.n = (r.place - 1) % 2 + 1
$$;

CREATE SCHEMA variant;
CALL try('Tram 0.3', 'message', '0.03');
SELECT wrong();
CALL try('Tram 0.24', 'variant.message', '0.24');
SELECT wrong();
CALL try('Tram 0.25 to 0.30', 'variant.message', '0.24');
SELECT wrong();
CALL try('Tram 0.31 and later', 'variant.message', '0.24');
SELECT wrong();
-- Text is not cast to json by itself: so 0.24 could not
CALL try('JSON', 'variant.message', '0.25');
SELECT wrong();
CALL try('Flyway', 'message', '0.31');
CALL try('Flyway', 'message0', '0.31');
CALL try('Flyway', 'message7', '0.31');
SELECT wrong();

-- Ids of the database: of number, outbox and shard
CREATE SEQUENCE variant.message_table_id_sequence;
CREATE FUNCTION number_vectors(shard int) RETURNS void LANGUAGE sql AS $$
	SELECT setval('variant.message_table_id_sequence', 1700000000123, false);
	UPDATE vector SET value = replace(value, id, new_id), id = new_id
	FROM (SELECT n, '0000018bcfe5' || CASE n WHEN 1 THEN '687b' ELSE '687c' END || '-000000000000000' || 1 + shard AS new_id FROM vector) AS v
	WHERE v.n = vector.n;
$$;
SELECT number_vectors(0);
CALL try('database ids', 'variant.message', '0.31', dbid => true);
SELECT wrong();
SELECT number_vectors(5);
CALL try('database ids', 'variant.message5', '0.31', dbid => true);
SELECT wrong();

--
-- Eventuate Local's events, as its producers write them
--
CREATE TABLE variant.events (
	event_id varchar(1000) PRIMARY KEY, event_type varchar(1000), event_data varchar(1000) NOT NULL, entity_type varchar(1000) NOT NULL,
	entity_id varchar(1000) NOT NULL, triggering_event varchar(1000), metadata varchar(1000), published smallint DEFAULT 0);
CREATE SEQUENCE variant.events_table_id_sequence START 1700000000123;
CREATE TABLE variant.numbered (
	id bigint PRIMARY KEY DEFAULT nextval('variant.events_table_id_sequence'), event_id varchar(1000), event_type varchar(1000),
	event_data varchar(1000) NOT NULL, entity_type varchar(1000) NOT NULL, entity_id varchar(1000) NOT NULL,
	triggering_event varchar(1000), metadata varchar(1000), published smallint DEFAULT 0);
SELECT eventuate_attach('variant.events', 'eventuate-events'), eventuate_attach('variant.numbered', 'eventuate-events', outbox_id => 2);
INSERT INTO variant.events (event_id, event_type, event_data, entity_type, entity_id, triggering_event, metadata, published)
VALUES ('0000018bcfe5687b-0242ac1200020000', 'et', '{}', 't', 'e', NULL, NULL, 0), ('published', 'et', '{}', 't', 'e', NULL, NULL, 1);
INSERT INTO variant.numbered (event_id, event_type, event_data, entity_type, entity_id, triggering_event, metadata, published)
VALUES ('', 'et', '{}', 't', 'e', 'etpo:0000018bcfe5687b-0242ac1200020000:t:0:17', NULL, 0);
SELECT data FROM record;

SELECT pg_drop_replication_slot('regress_variants');
DROP PROCEDURE produce, try;
DROP FUNCTION wrong, number_vectors;
DROP VIEW record;
DROP TABLE vector, layout, producer;
SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP SCHEMA variant CASCADE;
