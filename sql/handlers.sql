--
-- eventuate_publish(), eventuate_send_command(), eventuate_reply(): messages
-- with the headers that handlers of Eventuate Tram go by.
--
CREATE EXTENSION eventuate;

-- Ids and dates differ with each run.
CREATE FUNCTION mask(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(regexp_replace($1,
		'[0-9a-f]{16}-[0-9a-f]{16}', '<id>', 'g'),
		'[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT', '<date>', 'g')
$$;
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', state || ': ' || message, '  detail: ' || nullif(detail, ''), '  hint: ' || nullif(hint, ''));
END
$$;
SELECT 1 AS created FROM pg_create_logical_replication_slot('regress_handlers', 'eventuate');
\pset format unaligned
\pset tuples_only on
CREATE VIEW published AS
	SELECT data::json->>'topic' AS topic, mask(data::json->>'key') AS key, mask(data::json->>'value') AS value
	FROM pg_logical_slot_get_changes('regress_handlers', NULL, NULL, 'include_time', 'off');

--
-- The records, byte for byte
--
-- An event as Java sends it (the order of headers there is that of a hash)
SELECT eventuate_publish('io.eventuate.examples.Customer', '101', 'io.eventuate.examples.CustomerCreditReservedEvent',
	'{"customerId":101,"orderId":102}') ~ '^[0-9a-f]{16}-[0-9a-f]{16}$' AS id;
SELECT * FROM published;
SELECT eventuate_publish('Customer', '', 'Created', '{ "name" : "É\"\\" }'::json, '{"trace-id": "7", "event-other": "8"}') IS NOT NULL;
SELECT eventuate_publish(aggregate_type => 'Customer', aggregate_id => 'ü "1"', event_type => 'Ünterschrift',
	event => '{ "name" : 1.50 }'::jsonb) IS NOT NULL;
SELECT * FROM published;

-- A command that asks for a reply, a notification, and one of a saga
SELECT eventuate_send_command('customerService', 'io.eventuate.examples.ReserveCreditCommand',
	'{"orderId":102}', 'orderService-reply', '/customers/101') ~ '^[0-9a-f]{16}-[0-9a-f]{16}$' AS id;
SELECT eventuate_send_command('customerService', 'Notify', '{ }'::json) IS NOT NULL;
SELECT eventuate_send_command(command_type => 'Reserve', channel => 'customerService', command => '{"a" : 1}'::jsonb,
	headers => '{"command_saga_type": "s", "command_saga_id": "1", "PARTITION_ID": "101"}', reply_to => 's-reply') IS NOT NULL;
SELECT * FROM published;

-- Replies: what begins with "command_" comes back, nothing else
SELECT eventuate_reply('{"ID": "0000018bcfe5687b-0242ac1200020000", "DATE": "Tue, 14 Nov 2023 22:13:20 GMT", "DESTINATION": "customerService",
	"PARTITION_ID": "101", "command_type": "Reserve", "command__destination": "customerService", "command_resource": "/customers/101",
	"command_reply_to": "s-reply", "command_saga_type": "s", "command_saga_id": "1", "command_": "", "command": "x", "trace-id": "7", "n": 1}',
	'SUCCESS', 'io.eventuate.examples.CustomerCreditReserved', '{"é":1}') ~ '^[0-9a-f]{16}-[0-9a-f]{16}$' AS id;
SELECT eventuate_reply('{"ID": "1", "command_reply_to": "s-reply"}', 'FAILURE', 'Failure', '{ }'::json) IS NOT NULL;
SELECT eventuate_reply(request_headers => '{"ID": "1", "command_reply_to": "s-reply"}', outcome => 'FAILURE',
	reply_type => 'Failure', reply => '{ "b" : 1, "a" : 2 }'::jsonb) IS NOT NULL;
-- With headers of its own: what a saga has locked, the key
SELECT eventuate_reply('{"ID": "1", "command_reply_to": "s-reply", "command_saga_id": "1"}', 'SUCCESS', 'Reserved', '{}',
	'{"saga-locked-target": "Customer/101", "command_type": "mine", "PARTITION_ID": "k"}') IS NOT NULL;
SELECT * FROM published;

-- There and back
SELECT eventuate_send_command('customerService', 'Reserve', '{}', 'replies', headers => '{"command_saga_id": "1"}') AS id \gset
SELECT eventuate_reply((data::json->>'value')::jsonb->'headers', 'SUCCESS', 'Success', '{}') IS NOT NULL
FROM pg_logical_slot_get_changes('regress_handlers', NULL, NULL);
SELECT (data::json->>'value')::json->'headers'->>'reply_to_message_id' = :'id', mask(data::json->>'value')
FROM pg_logical_slot_get_changes('regress_handlers', NULL, NULL);

--
-- What is refused
--
SELECT attempt($$ SELECT eventuate_publish(NULL, '1', 'E', '{}') $$);
SELECT attempt($$ SELECT eventuate_publish('A', NULL, 'E', '{}') $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', NULL, '{}') $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', NULL) $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', NULL::jsonb) $$);
SELECT attempt($$ SELECT eventuate_publish('Outer$Inner', '1', 'E', '{}') $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '{"a": }') $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '') $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '{}', '[]') $$);
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '{}', '{"a": 1}') $$);
SELECT name, attempt(format($$ SELECT eventuate_publish('A', '1', 'E', '{}', '{"%s": "1"}') $$, name))
FROM unnest('{ID,DATE,DESTINATION,PARTITION_ID,event-type,event-aggregate-type,event-aggregate-id,command_type}'::text[]) AS name;
SELECT attempt($$ SELECT eventuate_publish('A', repeat('k', 500000), 'E', '{}') $$);

SELECT attempt($$ SELECT eventuate_send_command(NULL, 'C', '{}') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', NULL, '{}') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', 'C', NULL) $$);
SELECT attempt($$ SELECT eventuate_send_command('c/d', 'C', '{}') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', 'C', '{}', 'r/s') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', 'C', '{') $$);
SELECT name, attempt(format($$ SELECT eventuate_send_command('c', 'C', '{}', headers => '{"%s": "1"}') $$, name))
FROM unnest('{ID,DATE,DESTINATION,command_type,command_reply_to,command_resource,command__destination,command_destination,event-type}'::text[]) AS name;

SELECT attempt($$ SELECT eventuate_reply(NULL, 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{}', NULL, 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{}', 'SUCCESS', NULL, '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', NULL) $$);
SELECT attempt($$ SELECT eventuate_reply('[]', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1"}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"command_reply_to": "r"}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": 1, "command_reply_to": "r"}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r/s"}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r", "command_a": 1}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'success', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', 'no') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": ""}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": null}', 'SUCCESS', 'R', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', '{}', '{"a": 1}') $$);
SELECT name, attempt(format($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', '{}', '{"%s": "1"}') $$, name))
FROM unnest('{ID,DATE,reply_to_message_id,reply_outcome-type,reply_type,commandreply_type,commandreply_,commandreply}'::text[]) AS name;

-- In a read-only transaction, and where others have the privilege
BEGIN READ ONLY;
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '{}') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', 'C', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', '{}') $$);
COMMIT;
CREATE ROLE regress_handler;
SET ROLE regress_handler;
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '{}') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', 'C', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', '{}') $$);
RESET ROLE;
GRANT INSERT ON eventuate.message TO regress_handler;
SET ROLE regress_handler;
SELECT attempt($$ SELECT eventuate_publish('A', '1', 'E', '{}') $$);
SELECT attempt($$ SELECT eventuate_send_command('c', 'C', '{}') $$);
SELECT attempt($$ SELECT eventuate_reply('{"ID": "1", "command_reply_to": "r"}', 'SUCCESS', 'R', '{}') $$);
RESET ROLE;
SELECT topic FROM published;

SELECT pg_drop_replication_slot('regress_handlers');
DROP VIEW published;
SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP FUNCTION attempt, mask;
DROP ROLE regress_handler;
