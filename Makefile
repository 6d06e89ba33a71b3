# eventuate: PostgreSQL as the transactional outbox in front of Kafka
#
#   make                              build          (PG_CONFIG=/path/to/pg_config)
#   make install                      install
#   make test                         every test     (TESTS="sql/send.sql t/001_publish.pl")
#   make test MAJOR=17, test-majors   on another PostgreSQL, on 17 and 18
#   make test-upgrade UPGRADE=17-18   pg_upgrade between majors (15-17, 15-18 and 17-18 without UPGRADE)
#   make bench BENCH="drain latency"  measure         (all without BENCH)
#   make torture KILLS=100 KAFKA=real kill everything while clients send  (SECONDS=, SEED=)
#   make sanitize STEPS="tests fuzz valgrind"  the tests and random input, with every check there is
#                                     (FUZZ_SECONDS=, FUZZ_CASES=, SEED=, TESTS=)
#   make demo                         see it work    (KAFKA=real, BROKERS=host:port)
#   make indent, typedefs             lay out the source as PostgreSQL's own
#   make check-format, check-layers   what CI checks besides

EXTENSION = eventuate
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" eventuate.control)
PGFILEDESC = "eventuate - messages sent in SQL, published to Kafka"

MODULE_big = eventuate
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c))
DATA = $(wildcard eventuate--*.sql)

PG_CPPFLAGS = -DEV_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-clobbered
SHLIB_LINK = -lrdkafka

# installcheck's servers load what "script/stage" has put into tmp_stage.
SERVER = --encoding=UTF8 --temp-config=tmp_stage/server.conf
REGRESS = $(patsubst sql/%.sql,%,$(wildcard sql/*.sql))
REGRESS_OPTS = --temp-instance=tmp_check_regress $(SERVER)
ISOLATION = $(patsubst specs/%.spec,%,$(wildcard specs/*.spec))
ISOLATION_OPTS = --temp-instance=tmp_check_isolation $(SERVER)
TAP_TESTS = 1
UNIT_TESTS = $(patsubst %.c,%,$(wildcard t/unit/test_*.c))
PROVE_TESTS = $(UNIT_TESTS) $(wildcard t/*.pl)
BENCH_PROGRAMS = bench/latency bench/produce bench/count_decode.so
EXTRA_CLEAN = t/mock_kafka t/proxy t/torture_client $(BENCH_PROGRAMS) $(UNIT_TESTS) tmp_*

# Nothing here is worth inlining into a query: do without clang.
override with_llvm = no

export PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else
all install installcheck:
	@echo "PostgreSQL's server headers are missing: run script/dependencies, or name PG_CONFIG"; exit 1
endif

$(OBJS): $(wildcard src/*.h) Makefile

installcheck: t/mock_kafka t/proxy t/torture_client $(filter t/unit/%,$(PROVE_TESTS))

t/mock_kafka: t/mock_kafka.c
	$(CC) -O1 -Wall -Wextra $(COPT) -o $@ $< -lrdkafka

t/proxy: t/proxy.c
	$(CC) -O1 -Wall -Wextra $(COPT) -o $@ $<

t/torture_client: $(wildcard t/torture/*.c) $(wildcard t/torture/*.h)
	$(CC) -O2 -Wall -Wextra $(COPT) -I$(includedir) -o $@ $(filter %.c,$^) -L$(libdir) -lpq -lrdkafka

# The pure modules, as programs of their own under the sanitizers.
t/unit/test_header_text t/unit/test_header_random: src/header_text.c src/json_tree.c src/json_number.c src/json.c
t/unit/test_inflight: src/inflight.c
t/unit/test_json t/unit/test_json_portable: src/json.c
t/unit/test_json_portable: override CPPFLAGS += -U__SSE2__
t/unit/test_json_tree: src/json_tree.c src/json_number.c src/json.c
t/unit/test_message: src/message.c src/json.c
t/unit/test_siphash: src/siphash.c
t/unit/test_%: t/unit/test_%.c $(wildcard src/*.h t/unit/*.h)
	$(CC) -DFRONTEND -DUSE_PRIVATE_ENCODING_FUNCS -DUSE_ASSERT_CHECKING -Isrc $(CPPFLAGS) \
		-g -O1 -fno-strict-aliasing -fwrapv -fsanitize=address,undefined -fno-sanitize-recover=all $(COPT) \
		-o $@ $(filter %.c,$^) -L$(pkglibdir) -L$(libdir) -lpgcommon -lpgport -lm

bench/latency bench/produce: %: %.c
	$(CC) -O2 -Wall -Wextra $(COPT) -I$(includedir) -o $@ $< -L$(libdir) -lpq -lrdkafka -lpthread

bench/count_decode.so: bench/count_decode.c
	$(CC) $(CFLAGS) $(CFLAGS_SL) $(CPPFLAGS) -shared -o $@ $<

bench-programs: $(BENCH_PROGRAMS)

.PHONY: test test-majors test-upgrade demo bench bench-programs torture sanitize indent typedefs check-format check-layers
test:         ; @script/test $(TESTS)
test-majors:  ; @bad=0; for major in 17 18; do MAJOR=$$major script/test $(TESTS) || bad=1; done; exit $$bad
test-upgrade: ; @script/upgrade $(UPGRADE)
bench:        ; @script/bench $(BENCH)
torture:      ; @KILLS='$(KILLS)' DURATION='$(SECONDS)' SEED='$(SEED)' KAFKA='$(KAFKA)' CLIENTS='$(CLIENTS)' FAULTS='$(FAULTS)' SEND_MODE='$(SEND_MODE)' EXACTLY_ONCE='$(EXACTLY_ONCE)' script/torture
sanitize:     ; @STEPS='$(STEPS)' FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_CASES='$(FUZZ_CASES)' SEED='$(SEED)' script/sanitize $(TESTS)
demo:         ; @KAFKA='$(KAFKA)' BROKERS='$(BROKERS)' script/demo
indent:       ; @script/indent
typedefs:     ; @script/typedefs
check-format: ; @script/indent --check
check-layers: ; @script/check-layers
