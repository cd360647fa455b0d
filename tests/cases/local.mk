# SPDX-License-Identifier: MIT
# How others use it: programs that are started in odd ways, twice in a row, with either side first,
# or beside a neighbour that does something wrong. One file is one story.
SHELL_CASES = \
	tests/cases/closed-standard.sh \
	tests/cases/crowd.sh \
	tests/cases/ephemeral.sh \
	tests/cases/hostile-names.sh \
	tests/cases/installed-service.sh \
	tests/cases/late.sh \
	tests/cases/live-stream.sh \
	tests/cases/no-follow.sh \
	tests/cases/second-run.sh \
	tests/cases/unread.sh \
	tests/cases/unused.sh
C_CASES = \
	tests/cases/batch-evicted \
	tests/cases/closed-by-others \
	tests/cases/closed-descriptors \
	tests/cases/either-first \
	tests/cases/handler-publishes \
	tests/cases/interrupted-attach \
	tests/cases/last-moment \
	tests/cases/one-ring-handle \
	tests/cases/seals \
	tests/cases/two-threads \
	tests/cases/no-writer-left
check_PROGRAMS += $(C_CASES)
TESTS += $(C_CASES) $(SHELL_CASES)
EXTRA_DIST += $(SHELL_CASES)

# What installed-service.sh looks at. It is made before any test runs: libtool links the libraries
# anew while it installs them, and a program that starts meanwhile does not find them.
if ENABLE_BROKER
check_DATA += tests/installed.stamp
CLEAN_HOOKS += clean-installed
PHONY_TARGETS += clean-installed
tests/installed.stamp: $(lib_LTLIBRARIES) $(bin_PROGRAMS) $(sbin_PROGRAMS) $(systemdunit_DATA) \
		$(check_LTLIBRARIES) $(check_PROGRAMS)
	rm -rf tests/installed
	$(MAKE) $(AM_MAKEFLAGS) install DESTDIR='$(abs_builddir)/tests/installed' >tests/installed.log
	touch $@
clean-installed:
	rm -rf tests/installed tests/installed.stamp tests/installed.log
endif

tests_cases_closed_descriptors_SOURCES = tests/cases/closed-descriptors.c
tests_cases_closed_descriptors_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_closed_descriptors_LDADD = $(PROCESS_LIBS)
tests_cases_either_first_SOURCES = tests/cases/either-first.c
tests_cases_either_first_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_either_first_LDADD = $(PROCESS_LIBS)
tests_cases_one_ring_handle_SOURCES = tests/cases/one-ring-handle.c
tests_cases_one_ring_handle_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_one_ring_handle_LDADD = $(PROCESS_LIBS)
tests_cases_batch_evicted_SOURCES = tests/cases/batch-evicted.c
tests_cases_batch_evicted_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_batch_evicted_LDADD = $(PROCESS_LIBS)
tests_cases_seals_SOURCES = tests/cases/seals.c
tests_cases_seals_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_seals_LDADD = $(PROCESS_LIBS)
tests_cases_closed_by_others_SOURCES = tests/cases/closed-by-others.c
tests_cases_closed_by_others_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_closed_by_others_LDADD = $(PROCESS_LIBS)
tests_cases_interrupted_attach_SOURCES = tests/cases/interrupted-attach.c
tests_cases_interrupted_attach_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_interrupted_attach_LDADD = $(PROCESS_LIBS)
tests_cases_last_moment_SOURCES = tests/cases/last-moment.c
tests_cases_last_moment_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_last_moment_LDADD = $(PROCESS_LIBS)
tests_cases_handler_publishes_SOURCES = tests/cases/handler-publishes.c
tests_cases_handler_publishes_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_handler_publishes_LDADD = $(PROCESS_LIBS)
tests_cases_no_writer_left_SOURCES = tests/cases/no-writer-left.c
tests_cases_no_writer_left_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_no_writer_left_LDADD = $(PROCESS_LIBS)
tests_cases_two_threads_SOURCES = tests/cases/two-threads.c
tests_cases_two_threads_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_cases_two_threads_LDADD = $(PROCESS_LIBS)
