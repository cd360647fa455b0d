# SPDX-License-Identifier: MIT
# The tests. All of them, programs and scripts, report in TAP.

include tests/support/local.mk
include tests/unit/local.mk
include tests/process/local.mk
include tests/crash/local.mk
if ENABLE_BROKER
include tests/unit/broker.mk
include tests/broker/local.mk
endif
include fuzz/local.mk
include tests/cli/local.mk
include tests/cases/local.mk
include tests/meta/local.mk

# The test programs once more, built for another processor and emulated: about ten minutes.
EXTRA_DIST += tests/aarch64.sh
PHONY_TARGETS += check-aarch64
check-aarch64:
	abs_srcdir='$(abs_top_srcdir)' $(SHELL) $(srcdir)/tests/aarch64.sh

# Below a minute on two cores: what a change is tried with before the whole. The programs left out
# count in thousands, or wait; the rooms that kill processes are in `make check` alone.
SLOW_TESTS = tests/process/crowd tests/process/handoffs tests/process/rhythm \
	tests/process/rhythm-stamped tests/process/sleepers tests/unit/broker
PHONY_TARGETS += check-quick
check-quick: all
	@quick=`for test in $(UNIT_TESTS) $(BROKER_UNIT_TESTS) $(PROCESS_TESTS); do \
		case ' $(SLOW_TESTS) ' in *" $$test "*) ;; *) echo $$test ;; esac; done`; \
	quick=`echo $$quick`; \
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS="$$quick $(CLI_TESTS)" \
		check_PROGRAMS="$$quick tests/process/peer" check_LTLIBRARIES=

# The same tests again and again, until one fails: make check-loop TESTS=tests/process/wake [N=100]
N = 100
PHONY_TARGETS += check-loop
check-loop: $(check_PROGRAMS)
	@for round in `seq $(N)`; do \
		$(MAKE) $(AM_MAKEFLAGS) -s check-TESTS >check-loop.log 2>&1 || { \
			cat check-loop.log; echo "check-loop: round $$round of $(N) failed" >&2; \
			exit 1; }; \
	done; echo "check-loop: $(N) rounds passed"
CLEANFILES += check-loop.log

# Which lines the tests execute, for a build with --enable-coverage; needs gcovr. A process that is
# killed has counted nothing, so the figures are lower bounds.
PHONY_TARGETS += coverage
coverage:
	-$(MAKE) $(AM_MAKEFLAGS) check
	gcovr --root $(srcdir) --object-directory . --filter '$(abs_top_srcdir)/(lib|daemon|clients)/' \
		--print-summary --txt coverage.txt --html-details coverage.html
CLEANFILES += coverage.txt coverage*.html coverage.css

TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_DRIVER = $(TAP_DRIVER)

AM_TESTS_ENVIRONMENT = \
	abs_srcdir='$(abs_top_srcdir)'; export abs_srcdir; \
	abs_builddir='$(abs_top_builddir)'; export abs_builddir; \
	SHMRING='$(abs_top_builddir)/clients/shmring'; export SHMRING; \
	SHMRING_SANITIZED='$(SANITIZERS)'; export SHMRING_SANITIZED; \
	SHMRING_HANDLE_CHECKS='$(HANDLE_CHECKS)'; export SHMRING_HANDLE_CHECKS; \
	CC='$(CC)'; export CC; \
	CXX='$(CXX)'; export CXX; \
	NM='$(NM)'; export NM; \
	SHMRING_FAULT_POINTS='$(FAULT_CFLAGS)'; export SHMRING_FAULT_POINTS; \
	CK_TIMEOUT_MULTIPLIER='$(TIMEOUT_MULTIPLIER)'; export CK_TIMEOUT_MULTIPLIER; \
	UBSAN_OPTIONS=print_stacktrace=1; export UBSAN_OPTIONS;
