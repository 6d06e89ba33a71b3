-- Values, calls and rows at random.  The same seed brings the same.
-- For t/092_fuzz_functions.pl and t/093_fuzz_rows.pl.
SET client_min_messages = warning;
CREATE SCHEMA fuzz;

CREATE FUNCTION fuzz.below(n float8) RETURNS int LANGUAGE sql VOLATILE AS
	'SELECT floor(random() * n)::int';
CREATE FUNCTION fuzz.pick(VARIADIC list text[]) RETURNS text LANGUAGE sql VOLATILE AS
	'SELECT list[1 + fuzz.below(cardinality(list))]';

-- A table to attach and detach; letters of ours have numbers below the others.
CREATE TABLE fuzz.box (LIKE eventuate.message INCLUDING ALL);
ALTER TABLE eventuate.dead_letter ALTER id RESTART WITH 1000;

-- Characters that the database can hold, of which many mean something to JSON.
CREATE TABLE fuzz.alphabet (characters text);
DO $$
DECLARE
	code int;
	characters text := E'""\\\\\\//{}[]:,,  azAZ019._-nu\b\f\n\r\t\x01\x1f\x7f';
BEGIN
	FOREACH code IN ARRAY ARRAY[128, 169, 233, 255, 160, 937, 8364, 8232, 26085, 55295, 57344, 65279, 65533, 65535, 128512, 1114111] LOOP
		BEGIN
			characters := characters || chr(code);
		EXCEPTION WHEN OTHERS THEN
		END;
	END LOOP;
	-- Where chr() does not go.
	FOR code IN SELECT * FROM generate_series(1, 30) LOOP
		BEGIN
			characters := characters || convert_from(decode(to_hex(41378 + 300 * code), 'hex'), getdatabaseencoding());
		EXCEPTION WHEN OTHERS THEN
		END;
	END LOOP;
	INSERT INTO fuzz.alphabet VALUES (characters);
END
$$;

CREATE FUNCTION fuzz.characters(count int) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(string_agg(substr(characters, 1 + fuzz.below(length(characters)), 1), ''), '')
	FROM fuzz.alphabet, generate_series(1, count)
$$;

-- A string of JSON, in one of the ways to write it.
CREATE FUNCTION fuzz.json_string() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN CASE fuzz.below(8)
		WHEN 0 THEN '"' || fuzz.pick('ID', 'PARTITION_ID', 'DATE', 'key', 'value', 'base64', 'reply_to', 'a', '') || '"'
		WHEN 1 THEN '"' || fuzz.characters(fuzz.below(4)) || '"'
		WHEN 2 THEN '"' || fuzz.pick('\u00e9', '\u00E9', '\ud83d\ude00', '\ud83d', '\ude00', '\u0000', '\u001f', '\u4e2d', '\u12', '\/', '\b\n\"\\', '\x', '=', 'YQ==', 'YQ=') || '"'
		WHEN 3 THEN to_json(repeat(fuzz.characters(1), fuzz.below(300)))::text
		ELSE to_json(fuzz.characters(fuzz.below(8)))::text
	END;
END
$$;

-- JSON of any kind, mostly.
CREATE FUNCTION fuzz.json(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	kind int := fuzz.below(CASE WHEN depth > 0 THEN 9 ELSE 5 END);
	result text := '';
BEGIN
	CASE
	WHEN kind < 2 THEN RETURN fuzz.json_string();
	WHEN kind < 5 THEN RETURN fuzz.pick('null', 'true', 'false', '0', '-1.5e3', '1e400', '18446744073709551616', '""', '{}', '[]', 'nul', '');
	ELSE
		FOR i IN 1 .. fuzz.below(4) LOOP
			result := result || CASE WHEN i > 1 THEN fuzz.pick(',', ', ') ELSE '' END
				|| CASE WHEN kind < 7 THEN fuzz.json_string() || fuzz.pick(':', ': ', E'\t:\n') ELSE '' END
				|| fuzz.json(depth - 1);
		END LOOP;
		RETURN CASE WHEN kind < 7 THEN '{' || result || '}' ELSE '[' || result || ']' END;
	END CASE;
END
$$;

-- Headers as functions and columns take them: of either form, good or bad.
CREATE FUNCTION fuzz.headers() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	kind int := fuzz.below(16);
	result text := '';
BEGIN
	-- Those of a command that wants a reply.
	IF kind > 12 THEN
		RETURN '{"ID":"1","command_reply_to":"fuzz1"' || fuzz.pick('', ',"commandreply_x":"' || fuzz.below(9) || '"', ',' || fuzz.json_string() || ':""') || '}';
	END IF;
	FOR i IN 1 .. fuzz.below(5) LOOP
		result := result || CASE WHEN i > 1 THEN ',' ELSE '' END || CASE
			WHEN kind < 8 THEN fuzz.json_string() || ':' || CASE fuzz.below(12) WHEN 0 THEN 'null' WHEN 1 THEN fuzz.json(2) ELSE fuzz.json_string() END
			ELSE '{"key":' || fuzz.json_string() || ',' || fuzz.pick('"value":', '"base64":') || fuzz.pick('null', '"YQ=="', fuzz.json_string()) || '}'
			END;
	END LOOP;
	CASE
	WHEN kind = 0 THEN result := fuzz.json(3);
	WHEN kind < 6 THEN
		result := '{' || fuzz.pick('', ' ') || '"ID":"' || fuzz.below(1e6) || '"' || CASE WHEN result = '' THEN '' ELSE ',' || result END || '}';
	WHEN kind < 8 THEN result := '{' || result || '}';
	ELSE result := '[' || result || ']';
	END CASE;
	-- A character too many, too few or in the place of another.
	IF fuzz.below(8) = 0 THEN
		result := overlay(result PLACING fuzz.characters(fuzz.below(2)) FROM 1 + fuzz.below(length(result)) FOR fuzz.below(2));
	END IF;
	RETURN result;
END
$$;

CREATE FUNCTION fuzz.text() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN CASE fuzz.below(10)
		WHEN 0 THEN ''
		WHEN 1 THEN fuzz.characters(fuzz.below(20))
		WHEN 2 THEN repeat(fuzz.pick('x', '.', fuzz.characters(1)), 240 + fuzz.below(20))
		WHEN 3 THEN fuzz.json(3)
		WHEN 4 THEN fuzz.pick('.', '..', '-', 'fuzz.box', 'SUCCESS', 'FAILURE', 'eventuate', 'raw', '{}', '{"a": 1}', 'orders ')
		ELSE 'fuzz' || fuzz.below(8)
	END;
END
$$;

-- An SQL expression of a type; what the type's input refuses is a case as well.
CREATE FUNCTION fuzz.expression(type regtype) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	value text;
BEGIN
	IF fuzz.below(200) = 0 AND type::text IN ('text', 'bytea', 'json', 'jsonb') THEN
		-- The largest message, more or less.
		value := format('repeat(%L, %s)', fuzz.pick('x', E'\x01', '"', fuzz.characters(1)), 999000 + fuzz.below(1200));
		RETURN CASE type::text WHEN 'bytea' THEN format('convert_to(%s, ''UTF8'')', value)
			WHEN 'text' THEN value ELSE format('to_%s(%s)', type, value) END;
	END IF;
	CASE
	WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype, 'numeric'::regtype) THEN
		value := fuzz.pick('0', '1', '-1', '32767', '2147483647', '-2147483648', '9223372036854775807', '-9223372036854775808', fuzz.below(100)::text, fuzz.below(2e9)::text);
	WHEN type IN ('timestamptz'::regtype, 'timestamp'::regtype) THEN
		value := fuzz.pick('infinity', '-infinity', '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', '1970-01-01 00:00:00+00',
			'1970-01-01 00:00:00.001+00', '1969-12-31 23:59:59.999999+00', '2000-01-01 00:00:00+00', to_timestamp(random() * 4e9)::text);
	WHEN type = 'interval'::regtype THEN
		value := fuzz.pick('0', '-1 s', '-178000000 years', '9223372036854775807 us', '0.001 s', fuzz.below(10) || ' ms');
	WHEN type = 'regclass'::regtype THEN
		value := fuzz.pick('fuzz.box', 'fuzz.box', 'fuzz.functions', 'pg_class', '0', '4294967295');
	WHEN type = 'bool'::regtype THEN
		value := fuzz.pick('true', 'false');
	WHEN type = 'bytea'::regtype THEN
		value := '\x' || substr(md5(random()::text), 1, 2 * fuzz.below(16));
	WHEN type = 'pg_lsn'::regtype THEN
		value := fuzz.pick('0/0', '0/1', 'FFFFFFFF/FFFFFFFF', '0/' || to_hex(fuzz.below(2e9)));
	WHEN type IN ('json'::regtype, 'jsonb'::regtype) THEN
		value := CASE fuzz.below(3) WHEN 0 THEN fuzz.json(4) ELSE fuzz.headers() END;
	ELSE
		value := fuzz.text();
	END CASE;
	RETURN quote_literal(value);
END
$$;

-- ---------------------------------------------------------------------
-- Calls of every function of the extension
-- ---------------------------------------------------------------------
CREATE VIEW fuzz.functions AS
SELECT p.oid::regprocedure AS signature, format('%I.%I', n.nspname, p.proname) AS name,
	   p.proargtypes::oid[]::regtype[] AS types, p.pronargs AS arguments, p.pronargdefaults AS defaults
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid JOIN pg_namespace AS n ON n.oid = p.pronamespace
	JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'eventuate';

-- What came of the calls; "case" is the first of its kind.
CREATE TABLE fuzz.results (signature regprocedure, state text, count int8, message text, statement text, PRIMARY KEY (signature, state));

-- Every call is a savepoint of its own, so that the others stay.
CREATE FUNCTION fuzz.calls(seed int, cases int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	functions fuzz.functions[] := ARRAY(SELECT f FROM fuzz.functions AS f ORDER BY f.signature::text COLLATE "C");
	f fuzz.functions;
	types regtype[] := ARRAY(SELECT DISTINCT t FROM fuzz.functions, unnest(types) AS t ORDER BY t);
	size int := greatest(cases / 4, 100);
	pool text[];				-- "size" expressions of each type
	arguments text[];
	statement text;
	result text;
	problem text;
BEGIN
	PERFORM setseed(seed / 2147483648.0);
	INSERT INTO eventuate.dead_letter (id, topic, key, value, headers, partition, record_time, reason, error, attempts) OVERRIDING SYSTEM VALUE
	SELECT i, 'fuzz' || i % 8, 'k', 'v', '[{"key": "a", "value": null}]', i % 5, now(), 'fuzz', CASE WHEN i % 4 > 0 THEN 'FUZZ' END, 1
	FROM generate_series(0, 99) AS i ON CONFLICT DO NOTHING;

	-- Making values costs more than calling: each is used more than once.
	pool := ARRAY(SELECT CASE WHEN fuzz.below(12) = 0 THEN 'NULL' ELSE fuzz.expression(t) END || '::' || t
				  FROM unnest(types) AS t, generate_series(1, size));
	FOR i IN 1 .. cases LOOP
		f := functions[1 + fuzz.below(cardinality(functions))];
		arguments := '{}';
		FOR a IN 1 .. f.arguments - fuzz.below(f.defaults + 1) LOOP
			arguments := arguments || pool[size * (array_position(types, f.types[a - 1]) - 1) + 1 + fuzz.below(size)];
		END LOOP;
		-- What is hardly ever met together.
		IF f.name LIKE '%eventuate_reply' AND fuzz.below(4) = 0 THEN
			arguments[2] := quote_literal(fuzz.pick('SUCCESS', 'FAILURE'));
			arguments[4] := quote_literal(fuzz.json(2)) || '::' || f.types[3];
		ELSIF f.name LIKE '%eventuate_attach' AND fuzz.below(4) = 0 THEN
			arguments := ARRAY['''fuzz.box''', quote_literal(fuzz.pick('eventuate', 'raw', 'debezium'))] || arguments[3:fuzz.below(5)];
		END IF;
		statement := format('SELECT %s(%s)', f.name, array_to_string(arguments, ', '));
		result := 'fine';
		problem := NULL;
		BEGIN
			EXECUTE statement;
		EXCEPTION WHEN OTHERS THEN
			result := SQLSTATE;
			problem := SQLERRM;
		END;
		INSERT INTO fuzz.results VALUES (f.signature, result, 1, left(problem, 200), left(statement, 1000))
		ON CONFLICT ON CONSTRAINT results_pkey DO UPDATE SET count = results.count + 1;
	END LOOP;
END
$$;

-- Calls of eventuate_wait(), each to be a transaction of its own.
CREATE FUNCTION fuzz.waits(seed int, cases int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed / 2147483648.0);
	RETURN QUERY SELECT format('SELECT eventuate_wait(%s, %s)', fuzz.expression('pg_lsn'), fuzz.expression('interval')) FROM generate_series(1, cases);
END
$$;

-- ---------------------------------------------------------------------
-- Rows
-- ---------------------------------------------------------------------
-- What a line about each row has to say, in the order of the rows.
CREATE TABLE fuzz.written (n bigserial, encoding name DEFAULT getdatabaseencoding(), topic text, message_headers text, payload text,
	is_record bool DEFAULT false, key bytea, value bytea, record_headers jsonb, partition int4, record_time timestamptz);

-- Writes rows, undoes some, changes others.
CREATE FUNCTION fuzz.rows(seed int, cases int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	w fuzz.written;
	published int2;
	number int8;
BEGIN
	PERFORM setseed(seed / 2147483648.0);
	FOR i IN 1 .. cases LOOP
		w := NULL;
		number := 4096::int8 * seed + i;
		w.topic := CASE fuzz.below(16) WHEN 0 THEN fuzz.text() ELSE 'fuzz' || fuzz.below(8) END;
		w.is_record := fuzz.below(4) = 0;
		BEGIN
			IF w.is_record THEN
				w.key := CASE fuzz.below(4) WHEN 0 THEN NULL WHEN 1 THEN convert_to(fuzz.characters(fuzz.below(9)), 'UTF8') ELSE decode(substr(md5(random()::text), 1, 2 * fuzz.below(9)), 'hex') END;
				w.value := CASE fuzz.below(8) WHEN 0 THEN NULL WHEN 1 THEN fuzz.noise(fuzz.below(200))::bytea ELSE decode(md5(random()::text), 'hex') END;
				w.record_headers := CASE fuzz.below(4) WHEN 0 THEN NULL WHEN 1 THEN fuzz.json(3)::jsonb ELSE fuzz.headers()::jsonb END;
				w.partition := CASE fuzz.below(3) WHEN 0 THEN fuzz.below(4) END;
				w.record_time := fuzz.pick('infinity', '-infinity', '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', '1970-01-01 00:00:00+00',
					'1969-12-31 23:59:59.999999+00', '2020-01-01 00:00:00+00', NULL, NULL, NULL)::timestamptz;
				INSERT INTO eventuate.record (id, topic, key, value, headers, partition, record_time)
				VALUES (number, w.topic, w.key, w.value, w.record_headers, w.partition, w.record_time);
			ELSE
				w.message_headers := fuzz.headers();
				w.payload := CASE fuzz.below(8) WHEN 0 THEN fuzz.text() WHEN 1 THEN fuzz.noise(fuzz.below(200)) ELSE fuzz.characters(fuzz.below(20)) END;
				published := fuzz.pick('0', '0', '0', '0', '0', '0', NULL, '1', '-1');
				INSERT INTO eventuate.message (id, destination, headers, payload, published, message_partition, creation_time)
				VALUES (number, w.topic, w.message_headers, w.payload, published, fuzz.below(9) - 1, number);
			END IF;
			IF fuzz.below(16) = 0 THEN
				RAISE EXCEPTION 'undone';
			END IF;
			IF w.is_record OR coalesce(published, 0) = 0 THEN
				w.n := number;
				w.encoding := getdatabaseencoding();
				INSERT INTO fuzz.written SELECT w.*;
			END IF;
		EXCEPTION WHEN data_exception OR raise_exception OR program_limit_exceeded OR feature_not_supported THEN
		END;
		IF fuzz.below(16) = 0 THEN
			UPDATE eventuate.message SET headers = fuzz.headers(), published = 0 WHERE id = (number - fuzz.below(20))::text;
			UPDATE eventuate.record SET value = NULL, topic = 'never' WHERE id = (number - fuzz.below(20))::text;
			DELETE FROM eventuate.message WHERE id = (number - fuzz.below(20))::text;
		END IF;
	END LOOP;
END
$$;

-- Text that does not compress.
CREATE FUNCTION fuzz.noise(count int) RETURNS text LANGUAGE sql VOLATILE AS
	'SELECT coalesce(string_agg(md5(random()::text), fuzz.characters(1)), '''') FROM generate_series(1, count)';

-- A member of a line, as bytes.
CREATE FUNCTION fuzz.bytes(line json, name text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(convert_to(line ->> name, 'UTF8'), decode(line ->> (name || '_base64'), 'base64'))
$$;

-- Headers of a message as PostgreSQL reads them; NULL: they are malformed.
CREATE FUNCTION fuzz.canonical(headers text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	IF json_typeof(headers::json) <> 'object' THEN
		RETURN NULL;
	END IF;
	result := jsonb_strip_nulls(headers::jsonb);
	RETURN CASE WHEN jsonb_typeof(result -> 'ID') = 'string' AND coalesce(jsonb_typeof(result -> 'PARTITION_ID'), 'string') = 'string'
		THEN result END;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END
$$;

-- NULL: the line is what it should be.  Else: what is wrong.
CREATE FUNCTION fuzz.complaint(w fuzz.written, line json) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	malformed bool;
	canonical jsonb;
BEGIN
	-- Elsewhere PostgreSQL cannot read what JSON's escapes may say.
	IF getdatabaseencoding() <> 'UTF8' THEN
		RETURN NULL;
	END IF;
	malformed := line ->> 'malformed' IS NOT NULL;
	IF w.topic !~ '^[a-zA-Z0-9._-]{1,249}$' OR w.topic IN ('.', '..') THEN
		RETURN CASE WHEN NOT malformed THEN 'topic' END;
	ELSIF w.is_record THEN
		IF malformed THEN
			RETURN CASE WHEN w.record_headers IS NULL AND coalesce(w.record_time > '1970-01-02' AND isfinite(w.record_time), true) THEN 'malformed' END;
		END IF;
		RETURN CASE WHEN fuzz.bytes(line, 'key') IS DISTINCT FROM w.key THEN 'key'
			WHEN w.record_time < '1969-12-31' OR NOT isfinite(w.record_time) THEN 'time'
			WHEN fuzz.bytes(line, 'value') IS DISTINCT FROM w.value THEN 'value'
			WHEN (line ->> 'partition')::int IS DISTINCT FROM w.partition THEN 'partition'
			WHEN jsonb_typeof(w.record_headers) = 'array' AND json_array_length(line -> 'headers') <> jsonb_array_length(w.record_headers)
			THEN 'count of headers'
			WHEN jsonb_typeof(w.record_headers) = 'object' AND (line -> 'headers')::jsonb <>
				(SELECT coalesce(jsonb_agg(jsonb_build_object('key', h.key, 'value', h.value)), '[]') FROM jsonb_each(w.record_headers) AS h)
			THEN 'headers' END;
	END IF;
	canonical := fuzz.canonical(w.message_headers);
	IF canonical IS NULL OR malformed THEN
		RETURN CASE WHEN malformed <> (canonical IS NULL) THEN 'malformed' END;
	END IF;
	RETURN CASE WHEN line ->> 'topic' <> w.topic THEN 'topic'
		WHEN line ->> 'key' <> coalesce(canonical ->> 'PARTITION_ID', canonical ->> 'ID') THEN 'key'
		WHEN (line ->> 'value')::json ->> 'payload' <> w.payload THEN 'payload'
		-- Java's numbers end before.
		WHEN ((line ->> 'value')::json -> 'headers')::jsonb <> canonical AND w.message_headers !~ 'e400' THEN 'headers' END;
END
$$;

-- Reads slot "fuzz" and compares; returns how many rows were right.
CREATE FUNCTION fuzz.check_rows() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	lines text[] := ARRAY(SELECT data FROM pg_logical_slot_get_changes('fuzz', NULL, NULL, 'include_time', 'off'));
	count int := 0;
	w fuzz.written;
	complaint text;
BEGIN
	FOR w IN SELECT * FROM fuzz.written ORDER BY n LOOP
		count := count + 1;
		complaint := CASE WHEN lines[count] IS NULL THEN 'no line' ELSE fuzz.complaint(w, lines[count]::json) END;
		IF complaint IS NOT NULL THEN
			RAISE 'row and line differ: %', complaint USING DETAIL = format('row: %s, line: %s', left(w::text, 5000), left(lines[count], 5000));
		END IF;
	END LOOP;
	IF count <> cardinality(lines) THEN
		RAISE 'there are % rows, but % lines', count, cardinality(lines);
	END IF;
	TRUNCATE fuzz.written;
	DELETE FROM eventuate.message;
	DELETE FROM eventuate.record;
	RETURN count;
END
$$;
