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

TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_DRIVER = $(TAP_DRIVER)

AM_TESTS_ENVIRONMENT = \
	abs_srcdir='$(abs_top_srcdir)'; export abs_srcdir; \
	abs_builddir='$(abs_top_builddir)'; export abs_builddir; \
	SHMRING='$(abs_top_builddir)/clients/shmring'; export SHMRING; \
	SHMRING_SANITIZED='$(SANITIZERS)'; export SHMRING_SANITIZED; \
	CC='$(CC)'; export CC; \
	CXX='$(CXX)'; export CXX; \
	NM='$(NM)'; export NM; \
	SHMRING_FAULT_POINTS='$(FAULT_CFLAGS)'; export SHMRING_FAULT_POINTS; \
	CK_TIMEOUT_MULTIPLIER='$(TIMEOUT_MULTIPLIER)'; export CK_TIMEOUT_MULTIPLIER; \
	UBSAN_OPTIONS=print_stacktrace=1; export UBSAN_OPTIONS;
