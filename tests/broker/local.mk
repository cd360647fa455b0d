# SPDX-License-Identifier: MIT
# The broker as a program, and clients that speak the protocol themselves.
check_LTLIBRARIES += tests/broker/libserver.la
tests_broker_libserver_la_SOURCES = \
	tests/broker/raw.c \
	tests/broker/raw.h \
	tests/broker/server.c \
	tests/broker/server.h
tests_broker_libserver_la_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)

BROKER_TESTS_CPPFLAGS = $(TESTS_CPPFLAGS) -I$(top_srcdir)/lib/proto
BROKER_TESTS_LIBS = tests/broker/libserver.la lib/proto/libproto.la \
	tests/support/libsupport.la $(SHMRING_LIBS) $(CHECK_LIBS)
BROKER_TESTS = \
	tests/broker/hostile-ring \
	tests/broker/isolated \
	tests/broker/life \
	tests/broker/metrics \
	tests/broker/process-limit \
	tests/broker/protocol \
	tests/broker/relics \
	tests/broker/rights \
	tests/broker/shares
check_PROGRAMS += $(BROKER_TESTS)
TESTS += $(BROKER_TESTS)

check_PROGRAMS += tests/broker/keeper
LONG_TESTS += tests/broker/keeper

tests_broker_hostile_ring_SOURCES = tests/broker/hostile-ring.c
tests_broker_hostile_ring_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_hostile_ring_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_shares_SOURCES = tests/broker/shares.c
tests_broker_shares_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_shares_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_relics_SOURCES = tests/broker/relics.c
tests_broker_relics_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_relics_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_process_limit_SOURCES = tests/broker/process-limit.c
tests_broker_process_limit_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_process_limit_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_protocol_SOURCES = tests/broker/protocol.c
tests_broker_protocol_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_protocol_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_rights_SOURCES = tests/broker/rights.c
tests_broker_rights_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_rights_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_life_SOURCES = tests/broker/life.c
tests_broker_life_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_life_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_metrics_SOURCES = tests/broker/metrics.c
tests_broker_metrics_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_metrics_LDADD = $(BROKER_TESTS_LIBS)

# No test, but the figures of the broker; see the sources.
check_PROGRAMS += tests/broker/measure
tests_broker_measure_SOURCES = tests/broker/measure.c
tests_broker_measure_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_measure_LDADD = $(BROKER_TESTS_LIBS)

PHONY_TARGETS += bench-broker
bench-broker: daemon/shmringd$(EXEEXT) tests/broker/measure$(EXEEXT) tests/unit/catalog-rate$(EXEEXT)
	tests/unit/catalog-rate$(EXEEXT)
	dir=`mktemp -d /dev/shm/shmring-bench-XXXXXX` && \
		tests/broker/measure$(EXEEXT) $$dir daemon/shmringd$(EXEEXT); \
		status=$$?; rm -rf "$$dir"; exit $$status

tests_broker_isolated_SOURCES = tests/broker/isolated.c
tests_broker_isolated_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_isolated_LDADD = $(BROKER_TESTS_LIBS)
tests_broker_keeper_SOURCES = tests/broker/keeper.c
tests_broker_keeper_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_keeper_LDADD = $(BROKER_TESTS_LIBS)
