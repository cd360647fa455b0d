# SPDX-License-Identifier: MIT
# Tests of single modules of the core, linked to its objects: nothing is hidden from them.
UNIT_TESTS = \
	tests/unit/arrivals \
	tests/unit/bell \
	tests/unit/broker \
	tests/unit/evicted \
	tests/unit/lane \
	tests/unit/layout \
	tests/unit/makers \
	tests/unit/marks \
	tests/unit/proto \
	tests/unit/registry \
	tests/unit/segment \
	tests/unit/spin \
	tests/unit/threads \
	tests/unit/tries \
	tests/unit/words
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)

tests_unit_arrivals_SOURCES = tests/unit/arrivals.c
tests_unit_arrivals_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_arrivals_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_arrivals_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=shmr_bell_ring_arrival \
	-Wl,--wrap=consumer_restart -Wl,--wrap=consumer_settle_files
tests_unit_bell_SOURCES = tests/unit/bell.c
tests_unit_bell_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_bell_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_broker_SOURCES = tests/unit/broker.c tests/unit/fake.c tests/unit/fake.h
tests_unit_broker_CPPFLAGS = $(UNIT_CPPFLAGS) -I$(top_srcdir)/lib/proto
tests_unit_broker_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_evicted_SOURCES = tests/unit/evicted.c
tests_unit_evicted_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_evicted_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_evicted_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=shmr_lane_oldest \
	-Wl,--wrap=consumer_keep_place
tests_unit_lane_SOURCES = tests/unit/lane.c
tests_unit_lane_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_lane_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_layout_SOURCES = tests/unit/layout.c
tests_unit_layout_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_layout_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_makers_SOURCES = tests/unit/makers.c
tests_unit_makers_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_makers_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_makers_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=segment_link
tests_unit_marks_SOURCES = tests/unit/marks.c
tests_unit_marks_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_marks_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_proto_SOURCES = tests/unit/proto.c
tests_unit_proto_CPPFLAGS = $(UNIT_CPPFLAGS) -I$(top_srcdir)/lib/proto
tests_unit_proto_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_registry_SOURCES = tests/unit/registry.c
tests_unit_registry_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_registry_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_segment_SOURCES = tests/unit/segment.c
tests_unit_segment_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_segment_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_spin_SOURCES = tests/unit/spin.c
tests_unit_spin_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_spin_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_spin_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=shmr_now -Wl,--wrap=sched_yield
tests_unit_words_SOURCES = tests/unit/words.c
tests_unit_words_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_words_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)

# All roles as threads; what wraps, and why, is in the source.
tests_unit_threads_SOURCES = tests/unit/threads.c
tests_unit_threads_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_threads_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_threads_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=mapping_lay -Wl,--wrap=mapping_drop \
	-Wl,--wrap=shmr_probe_byte

# For a build with --enable-tsan, which says little about processes.
PHONY_TARGETS += check-threads
check-threads: tests/unit/threads$(EXEEXT) tests/cases/one-ring-handle$(EXEEXT)
	for program in $^; do \
		SHMRING_SANITIZED='$(SANITIZERS)' CK_TIMEOUT_MULTIPLIER='$(TIMEOUT_MULTIPLIER)' \
			./$$program || exit; \
	done
tests_unit_tries_SOURCES = tests/unit/tries.c
tests_unit_tries_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_tries_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_tries_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=shmr_now -Wl,--wrap=sched_yield
