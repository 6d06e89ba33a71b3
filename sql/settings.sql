--
-- Settings, and which librdkafka properties are accepted
--
CREATE EXTENSION eventuate;

SELECT name, setting, unit, context, vartype, min_val, max_val
FROM pg_settings
WHERE name IN ('eventuate.kafka', 'eventuate.kafka_file',
			   'eventuate.databases', 'eventuate.max_message_size',
			   'eventuate.max_wal',
			   'eventuate.queue_size', 'eventuate.record_timestamp')
ORDER BY name COLLATE "C";

-- a misspelt name is an error
SET eventuate.kafak = '';

-- where Kafka is, and how to get there, is not for everybody
CREATE ROLE regress_settings_user;
SET ROLE regress_settings_user;
\set VERBOSITY sqlstate
SHOW eventuate.kafka;
SHOW eventuate.kafka_file;
\set VERBOSITY default
SELECT * FROM eventuate_kafka_settings();
RESET ROLE;

-- limits of the plain settings
\set VERBOSITY sqlstate
ALTER SYSTEM SET eventuate.max_message_size = 999;
ALTER SYSTEM SET eventuate.queue_size = '1023kB';
\set VERBOSITY default
ALTER SYSTEM SET eventuate.max_wal = '15MB';
ALTER SYSTEM SET eventuate.max_wal = -1;
ALTER SYSTEM RESET eventuate.max_wal;
ALTER SYSTEM SET eventuate.record_timestamp = 'create';
ALTER SYSTEM SET eventuate.databases = 'a,,b';

-- What is wrong with the notation.  No error repeats a value: not here,
-- where "hidden" stands for a secret in the wrong place, nor later.
ALTER SYSTEM SET eventuate.kafka = 'hidden';
ALTER SYSTEM SET eventuate.kafka = '=hidden';
ALTER SYSTEM SET eventuate.kafka = 'linger.ms=1 hidden';
\echo :LAST_ERROR_SQLSTATE
ALTER SYSTEM SET eventuate.kafka = 'client.id=not hidden';
ALTER SYSTEM SET eventuate.kafka = 'client.id=''hidden';
ALTER SYSTEM SET eventuate.kafka = 'client.id=''hidden\''';
ALTER SYSTEM SET eventuate.kafka = 'linger.ms=1 client.id=a linger.ms=2';
\echo :LAST_ERROR_SQLSTATE
ALTER SYSTEM SET eventuate.kafka = 'linger.ms=1 queue.buffering.max.ms=2';
ALTER SYSTEM SET eventuate.kafka = 'bootstrap.servers=a metadata.broker.list=b';

-- what librdkafka refuses
ALTER SYSTEM SET eventuate.kafka = 'linger.mss=1';
\echo :LAST_ERROR_SQLSTATE
ALTER SYSTEM SET eventuate.kafka = 'consumer.group.id=a';
-- in words of its own, for which see below
\set VERBOSITY terse
ALTER SYSTEM SET eventuate.kafka = 'linger.ms=-1';
\echo :LAST_ERROR_SQLSTATE
ALTER SYSTEM SET eventuate.kafka = 'compression.type=rar';
\set VERBOSITY default

-- names of the Java client's
ALTER SYSTEM SET eventuate.kafka = 'key.serializer=org.apache.kafka.common.serialization.StringSerializer';
ALTER SYSTEM SET eventuate.kafka = 'buffer.memory=33554432';
ALTER SYSTEM SET eventuate.kafka = 'max.block.ms=60000';
ALTER SYSTEM SET eventuate.kafka = 'max.request.size=1048576';
ALTER SYSTEM SET eventuate.kafka = 'ssl.truststore.location=/a/b.jks';
ALTER SYSTEM SET eventuate.kafka = 'partitioner.class=a.b.C';
-- what is a secret as well
ALTER SYSTEM SET eventuate.kafka = 'ssl.truststore.password=hidden';
ALTER SYSTEM SET eventuate.kafka = 'sasl.jaas.config=''login required password="hidden";''';
ALTER SYSTEM SET eventuate.kafka = 'ssl.keystore.key=hidden';

-- what the promises rest on
ALTER SYSTEM SET eventuate.kafka = 'acks=1';
ALTER SYSTEM SET eventuate.kafka = 'request.required.acks=0';
ALTER SYSTEM SET eventuate.kafka = 'topic.acks=1';
ALTER SYSTEM SET eventuate.kafka = 'enable.idempotence=false';
ALTER SYSTEM SET eventuate.kafka = 'enable.idempotence=';
ALTER SYSTEM SET eventuate.kafka = 'message.timeout.ms=300000';
ALTER SYSTEM SET eventuate.kafka = 'delivery.timeout.ms=120000';
ALTER SYSTEM SET eventuate.kafka = 'topic.message.timeout.ms=1';
ALTER SYSTEM SET eventuate.kafka = 'retries=3';
ALTER SYSTEM SET eventuate.kafka = 'max.in.flight=6';
ALTER SYSTEM SET eventuate.kafka = 'queuing.strategy=lifo';
ALTER SYSTEM SET eventuate.kafka = 'enable.gapless.guarantee=true';
ALTER SYSTEM SET eventuate.kafka = 'delivery.report.only.error=true';

-- what eventuate sets itself
ALTER SYSTEM SET eventuate.kafka = 'transactional.id=a';
ALTER SYSTEM SET eventuate.kafka = 'queue.buffering.max.messages=1';
ALTER SYSTEM SET eventuate.kafka = 'queue.buffering.max.kbytes=1';
ALTER SYSTEM SET eventuate.kafka = 'message.max.bytes=1000';
ALTER SYSTEM SET eventuate.kafka = 'log.queue=false';
ALTER SYSTEM SET eventuate.kafka = 'enabled_events=1';

-- what only a program could set, or runs somebody's code
ALTER SYSTEM SET eventuate.kafka = 'dr_msg_cb=0x1';
ALTER SYSTEM SET eventuate.kafka = 'opaque=0x1';
ALTER SYSTEM SET eventuate.kafka = 'interceptors=a';
ALTER SYSTEM SET eventuate.kafka = 'ut_handle_ProduceResponse=1';
ALTER SYSTEM SET eventuate.kafka = 'test.mock.num.brokers=1';
ALTER SYSTEM SET eventuate.kafka = 'internal.termination.signal=15';
ALTER SYSTEM SET eventuate.kafka = 'plugin.library.paths=/no/such/library';
ALTER SYSTEM SET eventuate.kafka = 'ssl.engine.location=/no/such/library';
ALTER SYSTEM SET eventuate.kafka = 'sasl.kerberos.kinit.cmd=/bin/true';
ALTER SYSTEM SET eventuate.kafka = 'sasl.kerberos.principal=a;b';
ALTER SYSTEM SET eventuate.kafka = 'sasl.kerberos.keytab=$(a)';
ALTER SYSTEM SET eventuate.kafka = 'ssl.providers=../../no/such/library';

-- secrets belong into the file
ALTER SYSTEM SET eventuate.kafka = 'sasl.password=hidden';
ALTER SYSTEM SET eventuate.kafka = 'ssl.key.password=hidden';
ALTER SYSTEM SET eventuate.kafka = 'ssl.keystore.password=hidden';
ALTER SYSTEM SET eventuate.kafka = 'ssl.key.pem=hidden';
ALTER SYSTEM SET eventuate.kafka = 'sasl.oauthbearer.client.secret=hidden';
ALTER SYSTEM SET eventuate.kafka = 'sasl.oauthbearer.config=hidden';

-- nothing of all this has had an effect
SELECT count(*) FROM pg_file_settings WHERE name LIKE 'eventuate.%';

-- What is accepted, in the notation's odd corners.  A reload is sure to have
-- happened for sessions that begin after pg_reload_conf().
ALTER SYSTEM SET eventuate.kafka = '  linger.ms = 5 client.id=''it\''s "here" '' acks=all enable.idempotence=TRUE message.timeout.ms=0 compression.type=gzip sasl.username=me\ too topic.compression.level=3 ssl.ca.location=''''';
ALTER SYSTEM SET eventuate.queue_size = '1MB';
ALTER SYSTEM SET eventuate.max_message_size = '2MB';
SELECT pg_reload_conf();
\c -
SELECT * FROM eventuate_kafka_settings()
WHERE name IN ('queue.buffering.max.ms', 'client.id', 'compression.codec',
			   'sasl.username', 'partitioner', 'request.required.acks',
			   'enable.idempotence', 'message.timeout.ms', 'log.queue',
			   'message.max.bytes', 'queue.buffering.max.kbytes',
			   'queue.buffering.max.messages', 'socket.keepalive.enable',
			   'compression.level', 'ssl.ca.location',
			   'reconnect.backoff.max.ms')
	AND value <> 'inherit'
ORDER BY name COLLATE "C", value COLLATE "C";

-- a maximum that is below somebody's minimum would be refused by librdkafka
ALTER SYSTEM SET eventuate.kafka = 'reconnect.backoff.ms=5000';
ALTER SYSTEM RESET eventuate.max_message_size;
ALTER SYSTEM SET eventuate.kafka_file = 'eventuate_regress.conf';
SELECT pg_reload_conf();
\c -

-- the file: none
SELECT * FROM eventuate_kafka_settings();
\echo :LAST_ERROR_SQLSTATE
-- readable by others
COPY (VALUES ('client.id=general')) TO PROGRAM 'cat >eventuate_regress.conf && chmod 0644 eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
\echo :LAST_ERROR_SQLSTATE
-- no file of properties
COPY (VALUES (1)) TO PROGRAM 'cat >eventuate_regress.conf && chmod 0600 eventuate_regress.conf; printf "a\\000b" >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
COPY (VALUES ('# a comment'), (''), ('hidden')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
\echo :LAST_ERROR_SQLSTATE
COPY (VALUES ('sasl.password=''hidden'' and more')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
COPY (VALUES ('sasl.password=''hidden')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
COPY (VALUES ('[a database')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
-- refused properties, with their lines; lines of quoted values count
COPY (VALUES ('client.id=''two'), ('lines'''), ('acks=1')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
COPY (VALUES ('client.id=a'), ('linger.mss=1')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();
COPY (VALUES ('linger.ms=-1')) TO PROGRAM 'cat >eventuate_regress.conf';
DO $$
DECLARE
	said text;
BEGIN
	PERFORM eventuate_kafka_settings();
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
	RAISE INFO '% %', SQLSTATE, regexp_replace(said, '("linger.ms": ).*[a-z].*[^.]\.$', '\1(librdkafka''s words).');
END
$$;
COPY (VALUES ('linger.ms=1'), ('# once more'), ('linger.ms=1')) TO PROGRAM 'cat >eventuate_regress.conf';
SELECT * FROM eventuate_kafka_settings();

-- Sections: this database's own wins over the general part, and that over
-- eventuate.kafka; another's is not looked at.
SELECT format($$COPY (VALUES ('# general'), ('client.id = a client  '),
	('sasl.password=hid'' den\'), ('linger.ms=1'), ('ssl.key.pem=''hidden'),
	('hidden'''), ('[nobody]'), ('linger.ms=3'), ('acks=1'), ('[ %s ]'),
	('queue.buffering.max.ms=2'), ('sasl.username=me'))
	TO PROGRAM 'cat >eventuate_regress.conf'$$, current_database()) \gexec
SELECT * FROM eventuate_kafka_settings()
WHERE name IN ('queue.buffering.max.ms', 'client.id', 'sasl.username',
			   'sasl.password', 'ssl.key.pem', 'ssl.key.password',
			   'reconnect.backoff.ms', 'reconnect.backoff.max.ms')
ORDER BY name COLLATE "C";
-- no secret anywhere
SELECT * FROM eventuate_kafka_settings() AS s WHERE s::text ~ 'hid';
-- nor any place for C code, or any function's address
SELECT * FROM eventuate_kafka_settings() WHERE name ~ '_cb$|opaque' OR value ~ '^0x';

COPY (VALUES (1)) TO PROGRAM 'cat >/dev/null; rm eventuate_regress.conf';
ALTER SYSTEM RESET eventuate.kafka;
ALTER SYSTEM RESET eventuate.kafka_file;
ALTER SYSTEM RESET eventuate.queue_size;
SELECT pg_reload_conf();
\c -
SELECT name, value FROM eventuate_kafka_settings()
WHERE name IN ('client.id', 'queue.buffering.max.messages', 'queue.buffering.max.kbytes',
			   'message.max.bytes', 'metadata.broker.list',
			   'enable.idempotence', 'message.timeout.ms')
ORDER BY name COLLATE "C";

DROP ROLE regress_settings_user;
DROP EXTENSION eventuate;
