# SPDX-License-Identifier: MIT
# What clients and the broker say to each other; part of libshmring and of the broker.

noinst_LTLIBRARIES += lib/proto/libproto.la
lib_proto_libproto_la_SOURCES = \
	lib/proto/packet.c \
	lib/proto/packet.h \
	lib/proto/proto.c \
	lib/proto/proto.h
lib_proto_libproto_la_CPPFLAGS = $(AM_CPPFLAGS)
lib_proto_libproto_la_CFLAGS = $(LIBRARY_CFLAGS)
lib_proto_libproto_la_LDFLAGS = $(SANITIZE_FLAGS)
