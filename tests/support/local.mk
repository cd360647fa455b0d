# SPDX-License-Identifier: MIT
# What several tests share.
check_LTLIBRARIES += tests/support/libsupport.la
tests_support_libsupport_la_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_support_libsupport_la_SOURCES = \
	tests/support/audit.c \
	tests/support/audit.h \
	tests/support/child.c \
	tests/support/child.h \
	tests/support/leaks.c \
	tests/support/leaks.h \
	tests/support/must.c \
	tests/support/must.h \
	tests/support/peer.c \
	tests/support/peer.h \
	tests/support/random.c \
	tests/support/random.h \
	tests/support/room.c \
	tests/support/room.h \
	tests/support/runner.c \
	tests/support/runner.h \
	tests/support/serve.c \
	tests/support/shmringd.c \
	tests/support/shmringd.h \
	tests/support/step.c \
	tests/support/step.h \
	tests/support/way.c \
	tests/support/way.h
