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
	tests/broker/isolated \
	tests/broker/protocol
check_PROGRAMS += $(BROKER_TESTS)
TESTS += $(BROKER_TESTS)

tests_broker_protocol_SOURCES = tests/broker/protocol.c
tests_broker_protocol_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_protocol_LDADD = $(BROKER_TESTS_LIBS)

tests_broker_isolated_SOURCES = tests/broker/isolated.c
tests_broker_isolated_CPPFLAGS = $(BROKER_TESTS_CPPFLAGS)
tests_broker_isolated_LDADD = $(BROKER_TESTS_LIBS)
