--
-- Rows as each generation of Eventuate Tram's producers inserts them, through
-- the output plugin: what the CDC service would put on Kafka.
--
CREATE EXTENSION eventuate;
SELECT 1 AS created FROM pg_create_logical_replication_slot('regress_tram', 'eventuate');
\pset format unaligned
\pset tuples_only on
CREATE VIEW published AS
	SELECT data FROM pg_logical_slot_get_changes('regress_tram', NULL, NULL, 'include_time', 'off');

-- What producers look up before the first insert
SELECT table_schema, column_name, data_type FROM information_schema.columns
WHERE table_name = 'message' AND column_name IN ('headers', 'payload') ORDER BY 2;

-- 0.24: bare parameters
PREPARE tram_0_24(text, text, text, text) AS
	INSERT INTO eventuate.message(id, destination, headers, payload, creation_time)
	VALUES ($1, $2, $3, $4, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000));
EXECUTE tram_0_24('0000018bcfe5687b-0242ac1200020000',
	'io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer',
	'{"PARTITION_ID":"101","event-aggregate-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer","DATE":"Tue, 14 Nov 2023 22:13:20 GMT","event-aggregate-id":"101","event-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.CustomerCreditReservedEvent","DESTINATION":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer","ID":"0000018bcfe5687b-0242ac1200020000"}',
	'{"customerId":101,"orderId":102}');
-- The value is that of the CDC service, byte for byte.
SELECT data::json->>'value' =
	'{"payload":"{\"customerId\":101,\"orderId\":102}","headers":{"PARTITION_ID":"101","event-aggregate-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer","DATE":"Tue, 14 Nov 2023 22:13:20 GMT","event-aggregate-id":"101","event-type":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.CustomerCreditReservedEvent","DESTINATION":"io.eventuate.examples.tram.ordersandcustomers.customers.domain.Customer","ID":"0000018bcfe5687b-0242ac1200020000"}}',
	data::json->>'topic', data::json->>'key', octet_length(data::json->>'value')
FROM published;

-- 0.25, 0.26: cast to the column's type
INSERT INTO eventuate.message(id, destination, headers, payload, creation_time)
VALUES ('0000018bcfe5687b-0242ac1200020001', 'customerService', '{"command_type":"Reserve","ID":"0000018bcfe5687b-0242ac1200020001"}'::text,
	'{"customerId":101}'::text, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000));
-- 0.27 to 0.30: published
INSERT INTO eventuate.message(id, destination, headers, payload, creation_time, published)
VALUES ('0000018bcfe5687b-0242ac1200020002', 'customerService', '{"ID":"0000018bcfe5687b-0242ac1200020002"}'::text,
	'{"customerId":102}'::text, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), 0);
-- 0.31 to 0.37: message_partition
INSERT INTO eventuate.message(id, destination, headers, payload, creation_time, published, message_partition)
VALUES ('0000018bcfe5687b-0242ac1200020003', 'customerService',
	'{"PARTITION_ID":"3e1c4a0e-5b7e-4c8f-9d5e-000000000001","ID":"0000018bcfe5687b-0242ac1200020003"}'::text,
	'{"customerId":103}'::text, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), 0, NULL),
	('0000018bcfe5687b-0242ac1200020004', 'customerService',
	'{"PARTITION_ID":"101","ID":"0000018bcfe5687b-0242ac1200020004"}'::text,
	'{"customerId":104}'::text, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), 0, 5);
-- "insert already published"
INSERT INTO eventuate.message(id, destination, headers, payload, creation_time, published, message_partition)
VALUES ('0000018bcfe5687b-0242ac1200020005', 'customerService', '{"ID":"0000018bcfe5687b-0242ac1200020005"}'::text,
	'{"customerId":105}'::text, ROUND(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000), 1, NULL)
RETURNING id;
-- Several rows of a transaction, and COPY
BEGIN;
EXECUTE tram_0_24('0000018bcfe5687b-0242ac1200020006', 'a', '{"ID":"0000018bcfe5687b-0242ac1200020006"}', 'one');
EXECUTE tram_0_24('0000018bcfe5687b-0242ac1200020007', 'b', '{"ID":"0000018bcfe5687b-0242ac1200020007"}', 'two');
COMMIT;
COPY eventuate.message (id, destination, headers, payload) FROM stdin;
0000018bcfe5687b-0242ac1200020008	a	{"ID":"0000018bcfe5687b-0242ac1200020008"}	three
0000018bcfe5687b-0242ac1200020009	b	{"ID":"0000018bcfe5687b-0242ac1200020009"}	four
\.
SELECT data FROM published;

-- Tests of services ask for what was sent.
SELECT payload FROM eventuate.message WHERE destination = 'b' ORDER BY id;

SELECT pg_drop_replication_slot('regress_tram');
DROP VIEW published;
SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
