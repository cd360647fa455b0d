# SPDX-License-Identifier: MIT
# Tests of the tree itself: allowed includes, what the headers need, what the libraries show.

META_TESTS = \
	tests/meta/check-abi.sh \
	tests/meta/check-circles.sh \
	tests/meta/check-clauses.sh \
	tests/meta/check-descriptors.sh \
	tests/meta/check-docs.sh \
	tests/meta/check-edges.sh \
	tests/meta/check-faults.sh \
	tests/meta/check-headers.sh \
	tests/meta/check-includes.sh \
	tests/meta/check-runner.sh \
	tests/meta/check-symbols.sh \
	tests/meta/check-tables.sh \
	tests/meta/check-usage.sh
# They look at sources and symbols, which a sanitizer does not change.
if !SANITIZED
TESTS += $(META_TESTS)
endif
EXTRA_DIST += $(META_TESTS) tests/meta/tap.sh

check_PROGRAMS += tests/meta/auditor tests/meta/fixture
TESTS += tests/meta/auditor tests/meta/fixture
tests_meta_auditor_SOURCES = tests/meta/auditor.c
tests_meta_auditor_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_meta_auditor_LDADD = tests/support/libsupport.la $(SHMRING_LIBS) $(CHECK_LIBS)
tests_meta_fixture_SOURCES = tests/meta/fixture.c
tests_meta_fixture_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_meta_fixture_LDADD = tests/support/libsupport.la $(SHMRING_LIBS) $(CHECK_LIBS)
tests/meta/check-runner.log: tests/unit/layout$(EXEEXT)
