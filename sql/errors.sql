--
-- Every error of the functions that send: SQLSTATE, message, detail, hint.
--
CREATE EXTENSION eventuate;
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
\pset format unaligned
\pset tuples_only on

-- Delayed messages
SELECT attempt($$ SELECT eventuate_send('c', '{}', deliver_at => now()) $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', deliver_at => 'infinity') $$);

-- Nulls
SELECT attempt($$ SELECT eventuate_send(NULL, '{}') $$);
SELECT attempt($$ SELECT eventuate_send('c', NULL) $$);
SELECT attempt($$ SELECT eventuate_send('c', NULL::json) $$);
SELECT attempt($$ SELECT eventuate_send('c', NULL::jsonb) $$);
SELECT attempt($$ SELECT eventuate_produce(NULL, 'v') $$);

-- Names of channels and topics
SELECT attempt($$ SELECT eventuate_send('', '{}') $$);
SELECT attempt($$ SELECT eventuate_send('.', '{}') $$);
SELECT attempt($$ SELECT eventuate_send('..', '{}') $$);
SELECT attempt($$ SELECT eventuate_send('...', '{}') $$);
SELECT attempt($$ SELECT eventuate_send('a b', '{}') $$);
SELECT attempt($$ SELECT eventuate_send('Outer$Inner', '{}') $$);
SELECT attempt($$ SELECT eventuate_send('é', '{}') $$);
SELECT attempt($$ SELECT eventuate_send(E'a\n', '{}') $$);
SELECT attempt($$ SELECT eventuate_produce('a/b', 'v') $$);
SELECT attempt($$ SELECT eventuate_send(repeat('x', 249), '{}') $$);
SELECT attempt($$ SELECT eventuate_send(repeat('x', 250), '{}') $$);
SELECT attempt($$ SELECT eventuate_produce(repeat('x', 250), 'v') $$);

-- Headers of messages
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '[]') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '"a"') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => 'null') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"a": "1", "b": 1}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"a": true}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"a": null}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"a": {"b": "c"}}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"a": ["b"]}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"ID": "1"}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"DATE": "1"}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"DESTINATION": "c"}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', headers => '{"id": "1", "IDS": "2", "Date": "3"}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', 'k', '{"PARTITION_ID": "l"}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', 'k', '{"PARTITION_ID": "kk"}') $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}', 'k', '{"PARTITION_ID": 1}') $$);

-- Headers of records
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '1') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => 'null') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '{"a": 1}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '{"a": null}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '{"a": {}}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '["a"]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[["key", "value"]]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": "a", "value": "1"}, {"key": "b"}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"value": "a", "base64": ""}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": null, "value": "a"}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": 1, "value": "a"}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": "a", "value": 1}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": "a", "base64": null}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": "a", "base64": "A"}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', headers => '[{"key": "a", "base64": "AP8=", "value": "1"}]') $$);

-- Partition and time
SELECT attempt($$ SELECT eventuate_produce('t', 'v', partition => -1) $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', record_time => 'infinity') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', record_time => '-infinity') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v', record_time => '1970-01-01 00:00:00+00') $$);

-- Size: key, value with its envelope as it is escaped, headers, 100 bytes over
TRUNCATE eventuate.message;
SELECT eventuate_send('c', '') IS NOT NULL;
SELECT 1000000 - 100 - length(id) - length('{"payload":"","headers":}') - length(headers) AS room
FROM eventuate.message \gset
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room || '))');
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room + 1 || '))');
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room - 3 || $$) || '"\' )$$);
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room - 4 || $$) || '"\' )$$);
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room - 1 || $$) || 'é' )$$);
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room + length('0123456789abcdef-0123456789abcdef')
	- length('"PARTITION_ID":"k",') - length('k') || $$), 'k')$$);
SELECT attempt($$ SELECT eventuate_send('c', repeat('x', $$ || :room + length('0123456789abcdef-0123456789abcdef')
	- length('"PARTITION_ID":"k",') - length('k') + 1 || $$), 'k')$$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999900)) $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999901)) $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('"', 999899), 'k') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999899), 'kk') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999886), headers => '{"h": "éx"}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999887), headers => '{"h": "éx"}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999887), headers => '[{"key": "h", "base64": "AP8="}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999888), headers => '[{"key": "h", "base64": "AP8="}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999889), headers => '[{"key": "h", "value": null}]') $$);
SELECT attempt($$ SELECT eventuate_produce('t', repeat('x', 999890), headers => '[{"key": "h", "value": null}]') $$);

-- The transaction
START TRANSACTION READ ONLY;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v') $$);
COMMIT;

CREATE TABLE numbers AS SELECT 1 AS n;
CREATE FUNCTION in_worker(int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
	RETURN eventuate_send('c', '{}');
END
$$;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT attempt($$ SELECT in_worker(n) FROM numbers $$);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- The table
BEGIN;
ALTER TABLE eventuate.message RENAME TO elsewhere;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
ROLLBACK;
BEGIN;
ALTER TABLE eventuate.record RENAME TO elsewhere;
SELECT attempt($$ SELECT eventuate_produce('t', 'v') $$);
ROLLBACK;
BEGIN;
ALTER TABLE eventuate.message DROP COLUMN payload;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
ROLLBACK;
BEGIN;
TRUNCATE eventuate.message;
ALTER TABLE eventuate.message ALTER COLUMN payload TYPE varchar(10);
SELECT attempt($$ SELECT eventuate_send('c', '0123456789') $$);
SELECT attempt($$ SELECT eventuate_send('c', 'éééééééééé') $$);
SELECT attempt($$ SELECT eventuate_send('c', '0123456789 ') $$);
SELECT attempt($$ SELECT eventuate_send('c', '01234567890') $$);
ROLLBACK;

-- A call that fails leaves nothing.
SELECT count(*) FROM eventuate.message WHERE length(payload) < 100;
SELECT count(*) FROM eventuate.record WHERE length(value) < 100;

\set VERBOSITY terse
SELECT eventuate_send('c');
SELECT eventuate_send('c', '{}', no_such => 1);
SELECT eventuate_send('c', 1);

SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP TABLE numbers;
DROP FUNCTION attempt, in_worker;
