# SPDX-License-Identifier: MIT
# The bench: limits, this ring, and what else there is. `make bench` measures for about four
# minutes and leaves bench-results.json and .svg; BENCH_FLAGS=--quick is enough to see that it
# works. It is compiled for the machine it is about to measure: BENCH_CFLAGS= prevents that.

# needs-package: jansson
BENCH_CFLAGS = -march=native
BENCH_FLAGS =

check_PROGRAMS += bench/shmring-bench
bench_files = \
	bench/base.c \
	bench/bench.h \
	bench/json.c \
	bench/limits.c \
	bench/loops.h \
	bench/main.c \
	bench/peers.c \
	bench/placement.c \
	bench/plan.c \
	bench/plot.c \
	bench/reference.c \
	bench/report.c \
	bench/row.c \
	bench/samples.c \
	bench/self.c \
	bench/targets.c \
	bench/work.h
bench_shmring_bench_SOURCES = $(bench_files) bench/not-installed.c
bench_shmring_bench_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
bench_shmring_bench_CFLAGS = $(AM_CFLAGS) $(BENCH_CFLAGS)
bench_shmring_bench_LDADD = $(SHMRING_LIBS) $(JANSSON_LIBS) -lrt

# What the broker costs; it is run by hand.
check_PROGRAMS += bench/shmring-broker-bench
bench_shmring_broker_bench_SOURCES = bench/bench.h bench/broker.c bench/samples.c
bench_shmring_broker_bench_LDADD = $(SHMRING_LIBS)

PHONY_TARGETS += bench
bench: bench/shmring-bench$(EXEEXT)
	bench/shmring-bench --json=bench-results.json --plot=bench-results.svg $(BENCH_FLAGS)

# The same with everything that Debian has for such work, as far as it is installed; see
# bench/installed.c.
PHONY_TARGETS += bench-peers
bench-peers: bench/shmring-bench$(EXEEXT)
	CC='$(CC)' CXX='$(CXX)' LIBTOOL='$(SHELL) ./libtool' LIBS='$(SHMRING_LIBS) $(JANSSON_LIBS) -lrt' \
		CFLAGS='$(C11_CFLAGS) -D_GNU_SOURCE -I$(top_srcdir)/include $(JANSSON_CFLAGS) $(CFLAGS) $(BENCH_CFLAGS)' \
		$(srcdir)/bench/build-peers.sh '$(srcdir)' bench/shmring-peers-bench \
		$(filter %.c,$(bench_files))
	bench/shmring-peers-bench --json=bench-peers.json --plot=bench-peers.svg $(BENCH_FLAGS)
EXTRA_DIST += \
	bench/build-peers.sh \
	bench/installed.c \
	bench/installed.h \
	bench/peer-boost.c \
	bench/peer-boost.cpp \
	bench/peer-boost.h \
	bench/peer-ck.c \
	bench/peer-dpdk.c \
	bench/peer-libqb.c \
	bench/peer-nng.c \
	bench/peer-zmq.c \
	bench/pool.c
CLEANFILES += bench-peers.json bench-peers.svg bench/shmring-peers-bench

# Two builds, interleaved: make bench-compare BASE=main~5 [ONLY='stream/shmring/64/*'] [ROUNDS=9]
BASE = HEAD
ONLY = */shmring*
ROUNDS = 6
PHONY_TARGETS += bench-compare
bench-compare: bench/shmring-bench$(EXEEXT)
	$(srcdir)/bench/compare.sh '$(abs_top_srcdir)' '$(BASE)' bench/shmring-bench \
		--rounds='$(ROUNDS)' --only='$(ONLY)' $(BENCH_FLAGS)
EXTRA_DIST += bench/compare.sh

CLEANFILES += bench-results.json bench-results.svg

EXTRA_DIST += bench/smoke.sh
if ENABLE_TESTS
TESTS += bench/smoke.sh
endif

# What sleeping and waking costs: `make bench-doorbell` takes about three minutes.
check_PROGRAMS += bench/shmring-doorbell-bench
bench_shmring_doorbell_bench_SOURCES = \
	bench/bench.h \
	bench/doorbell.c \
	bench/doorbell.h \
	bench/links.c \
	bench/samples.c
bench_shmring_doorbell_bench_CPPFLAGS = $(AM_CPPFLAGS)
bench_shmring_doorbell_bench_LDADD = $(SHMRING_LIBS)

PHONY_TARGETS += bench-doorbell
bench-doorbell: bench/shmring-doorbell-bench$(EXEEXT)
	bench/shmring-doorbell-bench $(BENCH_FLAGS)
