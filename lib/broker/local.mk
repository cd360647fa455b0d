# SPDX-License-Identifier: MIT
# The client side of the broker, and the addresses of rings; part of libshmring.

noinst_LTLIBRARIES += lib/broker/libbroker.la
lib_broker_libbroker_la_SOURCES = \
	lib/broker/broker.c \
	lib/broker/connection.c \
	lib/broker/connection.h \
	lib/broker/open.c \
	lib/broker/source.c \
	lib/broker/source.h
lib_broker_libbroker_la_CPPFLAGS = $(CORE_CPPFLAGS) -I$(top_srcdir)/lib/proto
lib_broker_libbroker_la_CFLAGS = $(LIBRARY_CFLAGS)
lib_broker_libbroker_la_LDFLAGS = $(SANITIZE_FLAGS)
