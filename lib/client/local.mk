# SPDX-License-Identifier: MIT
# What a program calls first: the addresses of rings, and the client side of the broker; part of
# libshmring.

noinst_LTLIBRARIES += lib/client/libclient.la
lib_client_libclient_la_SOURCES = \
	lib/client/broker.c \
	lib/client/by-address.c \
	lib/client/connection.c \
	lib/client/connection.h \
	lib/client/ring-source.c \
	lib/client/ring-source.h
lib_client_libclient_la_CPPFLAGS = $(CORE_CPPFLAGS) -I$(top_srcdir)/lib/proto
lib_client_libclient_la_CFLAGS = $(LIBRARY_CFLAGS)
lib_client_libclient_la_LDFLAGS = $(SANITIZE_FLAGS)
