--
-- The right to send is INSERT on the table, with its policies.
--
CREATE EXTENSION eventuate;
CREATE ROLE regress_app;
CREATE ROLE regress_orders;
CREATE ROLE regress_owner;
CREATE ROLE "regress other" BYPASSRLS;
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

--
-- INSERT is what counts, and all that is needed
--
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v') $$);
SELECT attempt($$ INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('1', 'c', '{}', '') $$);
SET ROLE "regress other";
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
RESET ROLE;
GRANT SELECT, UPDATE, DELETE, TRUNCATE ON eventuate.message, eventuate.record TO regress_app;
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v') $$);
RESET ROLE;
REVOKE ALL ON eventuate.message, eventuate.record FROM regress_app;

GRANT INSERT ON eventuate.message TO regress_app;
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('c', '{}', 'k', '{"h": "1"}') $$);
SELECT attempt($$ INSERT INTO eventuate.message (id, destination, headers, payload, published, creation_time)
	VALUES ('1', 'c', '{"ID": "1"}', '{}', 0, 1) $$);
SELECT attempt($$ SELECT eventuate_produce('t', 'v') $$);
SELECT attempt($$ SELECT count(*) FROM eventuate.message $$);
RESET ROLE;
GRANT INSERT ON eventuate.record TO regress_app;
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_produce('t', 'v', 'k', '{"h": "1"}', 0, now()) $$);
SELECT attempt($$ INSERT INTO eventuate.record (topic, value) VALUES ('t', 'v') $$);
RESET ROLE;

-- Also on the way through SQL, by a plan that another role has made
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE TRIGGER nothing BEFORE INSERT ON eventuate.message FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
SET ROLE regress_orders;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
RESET ROLE;
DROP TRIGGER nothing ON eventuate.message;

-- Taken back in mid-session
REVOKE INSERT ON eventuate.message FROM regress_app;
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
RESET ROLE;
GRANT INSERT ON eventuate.message TO regress_app;

-- The schema's privileges count as for any INSERT
REVOKE USAGE ON SCHEMA eventuate FROM PUBLIC;
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
SELECT attempt($$ INSERT INTO eventuate.message (id, destination, headers, payload) VALUES ('2', 'c', '{}', '') $$);
RESET ROLE;
GRANT USAGE ON SCHEMA eventuate TO PUBLIC;

-- Somebody's function sends with its owner's rights
CREATE FUNCTION send_as_owner() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$SELECT public.eventuate_send('c', '{}')$$;
ALTER FUNCTION send_as_owner() OWNER TO regress_app;
SET ROLE regress_orders;
SELECT attempt($$ SELECT send_as_owner() $$);
SELECT attempt($$ SELECT eventuate_send('c', '{}') $$);
RESET ROLE;

--
-- Privileges on a channel: row security
--
TRUNCATE eventuate.message, eventuate.record;
GRANT INSERT ON eventuate.message, eventuate.record TO regress_orders, "regress other";
ALTER TABLE eventuate.message ENABLE ROW LEVEL SECURITY;
ALTER TABLE eventuate.record ENABLE ROW LEVEL SECURITY;
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('orders', 'no policy') $$);
SELECT attempt($$ SELECT eventuate_produce('orders', 'no policy') $$);
RESET ROLE;
CREATE POLICY everything ON eventuate.message FOR INSERT TO regress_app WITH CHECK (true);
CREATE POLICY orders ON eventuate.message FOR INSERT TO regress_orders WITH CHECK (destination LIKE 'orders%');
CREATE POLICY orders ON eventuate.record FOR INSERT TO regress_orders WITH CHECK (topic = 'orders');
SET ROLE regress_app;
SELECT attempt($$ SELECT eventuate_send('payments', 'app') $$);
SELECT attempt($$ SELECT eventuate_produce('orders', 'app') $$);
SET ROLE regress_orders;
SELECT attempt($$ SELECT eventuate_send('orders', 'orders') $$);
SELECT attempt($$ SELECT eventuate_send('orders.eu', 'orders', 'k', '{"h": "1"}') $$);
SELECT attempt($$ SELECT eventuate_send('payments', 'orders') $$);
SELECT attempt($$ SELECT eventuate_produce('orders', 'orders') $$);
SELECT attempt($$ SELECT eventuate_produce('orders2', 'orders') $$);
SET row_security = off;
SELECT attempt($$ SELECT eventuate_send('orders', 'row_security off') $$);
RESET row_security;
SET ROLE "regress other";
SELECT attempt($$ SELECT eventuate_send('payments', 'bypass') $$);
SELECT attempt($$ SELECT eventuate_produce('payments', 'bypass') $$);
RESET ROLE;
SELECT attempt($$ SELECT eventuate_send('payments', 'superuser') $$);

-- The owner is free of policies, unless they are forced on it
ALTER TABLE eventuate.message OWNER TO regress_owner;
SET ROLE regress_owner;
SELECT attempt($$ SELECT eventuate_send('payments', 'owner') $$);
RESET ROLE;
ALTER TABLE eventuate.message FORCE ROW LEVEL SECURITY;
SET ROLE regress_owner;
SELECT attempt($$ SELECT eventuate_send('payments', 'forced') $$);
SET ROLE regress_orders;
SELECT attempt($$ SELECT eventuate_send('orders', 'forced') $$);
RESET ROLE;

-- Policies made, changed and dropped in mid-session
ALTER POLICY orders ON eventuate.message WITH CHECK (destination = 'payments');
SET ROLE regress_orders;
SELECT attempt($$ SELECT eventuate_send('payments', 'altered') $$);
SELECT attempt($$ SELECT eventuate_send('orders', 'altered') $$);
RESET ROLE;
ALTER TABLE eventuate.message DISABLE ROW LEVEL SECURITY;
SET ROLE regress_orders;
SELECT attempt($$ SELECT eventuate_send('orders', 'disabled') $$);
RESET ROLE;
ALTER TABLE eventuate.message ENABLE ROW LEVEL SECURITY;
SET ROLE regress_orders;
SELECT attempt($$ SELECT eventuate_send('orders', 'enabled') $$);
RESET ROLE;
SELECT destination, payload FROM eventuate.message ORDER BY id;
SELECT topic, convert_from(value, 'UTF8') FROM eventuate.record ORDER BY id;

--
-- What everybody may call, and what only those to whom it is granted
--
SELECT p.oid::regprocedure
FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'eventuate')
	AND has_function_privilege('regress_app', p.oid, 'EXECUTE')
ORDER BY p.oid::regprocedure::text COLLATE "C";

SET client_min_messages = warning;
DROP EXTENSION eventuate CASCADE;
DROP FUNCTION attempt, nothing, send_as_owner;
DROP ROLE regress_app, regress_orders, regress_owner, "regress other";
