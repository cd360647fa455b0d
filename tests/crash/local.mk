# SPDX-License-Identifier: MIT
# Processes that are killed, stopped, or hostile.

CRASH_LIBS = tests/support/libsupport.la $(SHMRING_LIBS) $(CHECK_LIBS)

# --- storm and soak ---
STORM_TESTS = tests/crash/storm
check_PROGRAMS += $(STORM_TESTS)
LONG_TESTS += $(STORM_TESTS)
tests_crash_storm_SOURCES = \
	tests/crash/ledger.c \
	tests/crash/ledger.h \
	tests/crash/storm.c \
	tests/crash/worker.c \
	tests/crash/worker.h
tests_crash_storm_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_crash_storm_LDADD = $(CRASH_LIBS)

# A storm of any length: make check-soak SECONDS=3600 [SEED=1]
SECONDS = 600
SEED = 20
check-soak: $(STORM_TESTS)
	$(AM_TESTS_ENVIRONMENT) SHMRING_STORM_SECONDS=$(SECONDS) SHMRING_TEST_SEED=$(SEED) \
		tests/crash/storm

# --- hostile or broken peer ---
HOSTILE_TESTS = tests/crash/hostile tests/crash/stubborn
check_PROGRAMS += $(HOSTILE_TESTS)
LONG_TESTS += $(HOSTILE_TESTS)
tests_crash_hostile_SOURCES = tests/crash/hostile.c tests/crash/vandal.c tests/crash/vandal.h
tests_crash_hostile_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_crash_hostile_LDADD = $(CRASH_LIBS)
tests_crash_stubborn_SOURCES = tests/crash/stubborn.c tests/crash/vandal.c tests/crash/vandal.h
tests_crash_stubborn_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_crash_stubborn_LDADD = $(CRASH_LIBS)

check-hostile: tests/crash/hostile
	$(AM_TESTS_ENVIRONMENT) SHMRING_HOSTILE_SECONDS=60 tests/crash/hostile

# System calls that fail.
check_PROGRAMS += tests/crash/syscalls
LONG_TESTS += tests/crash/syscalls
tests_crash_syscalls_SOURCES = \
	tests/crash/errnos.c \
	tests/crash/errnos.h \
	tests/crash/intercept.c \
	tests/crash/intercept.h \
	tests/crash/operations.c \
	tests/crash/operations.h \
	tests/crash/syscalls.c
tests_crash_syscalls_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_crash_syscalls_LDADD = $(PROCESS_LIBS)

# A refusal while a consumer joins.
check_PROGRAMS += tests/crash/nowait
TESTS += tests/crash/nowait
tests_crash_nowait_SOURCES = tests/crash/nowait.c
tests_crash_nowait_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_crash_nowait_LDADD = $(PROCESS_LIBS)

CRASH_TESTS = \
	tests/crash/sweep
check_PROGRAMS += $(CRASH_TESTS)
LONG_TESTS += $(CRASH_TESTS)

tests_crash_sweep_SOURCES = \
	tests/crash/sweep.c \
	tests/crash/sweep.h \
	tests/crash/sweep-reader.c \
	tests/crash/sweep-ring.c \
	tests/crash/sweep-scene.c \
	tests/crash/sweep-subject.c \
	tests/crash/sweep-writer.c
tests_crash_sweep_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_crash_sweep_LDADD = $(CRASH_LIBS)

# The full form of the sweep: every instruction that is named in tests/crash/sweep.c.
check-sweep: tests/crash/sweep
	$(AM_TESTS_ENVIRONMENT) $(builddir)/tests/crash/sweep --full

# The libraries once more, with fault points, for these tests only (lib/core/fault.h).
check_LTLIBRARIES += tests/crash/libfaulty.la
tests_crash_libfaulty_la_SOURCES = \
	$(lib_proto_libproto_la_SOURCES) \
	$(lib_client_libclient_la_SOURCES) \
	$(lib_core_libcore_la_SOURCES) \
	$(lib_producer_libproducer_la_SOURCES) \
	$(lib_consumer_libconsumer_la_SOURCES)
tests_crash_libfaulty_la_CPPFLAGS = $(CORE_CPPFLAGS) -I$(top_srcdir)/lib/proto -DSHMR_FAULT_POINTS=1 \
	-USHMR_HANDLE_CHECKS
tests_crash_libfaulty_la_CFLAGS = $(LIBRARY_CFLAGS) -fno-inline
tests_crash_libfaulty_la_LDFLAGS = $(SANITIZE_FLAGS)

check_PROGRAMS += tests/crash/faults
LONG_TESTS += tests/crash/faults
tests_crash_faults_SOURCES = \
	tests/crash/actor.c \
	tests/crash/actor.h \
	tests/crash/faults.c \
	tests/crash/places.c \
	tests/crash/places.h \
	tests/crash/scene.c \
	tests/crash/scene.h
tests_crash_faults_CPPFLAGS = $(TESTS_CPPFLAGS) -I$(top_srcdir)/lib/core \
	-DSHMR_FAULT_POINTS=1 -DSHMRING_NO_INLINE
tests_crash_faults_LDADD = tests/support/libsupport.la tests/crash/libfaulty.la $(CHECK_LIBS)

# Every pair of places, with every action, instead of a sample: about an hour on two cores.
PHONY_TARGETS += check-faults
check-faults: tests/crash/faults$(EXEEXT)
	SHMRING_FAULTS=all abs_builddir='$(abs_top_builddir)' SHMRING_SANITIZED='$(SANITIZERS)' \
		tests/crash/faults$(EXEEXT)
