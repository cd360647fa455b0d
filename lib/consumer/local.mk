# SPDX-License-Identifier: MIT
# libshmring-consumer: reading all lanes.

noinst_LTLIBRARIES += lib/consumer/libconsumer.la
lib_consumer_libconsumer_la_SOURCES = \
	lib/consumer/announce.c \
	lib/consumer/attach.c \
	lib/consumer/batch.c \
	lib/consumer/checked.c \
	lib/consumer/consumer.c \
	lib/consumer/consumer.h \
	lib/consumer/cursor.c \
	lib/consumer/end.c \
	lib/consumer/fd.c \
	lib/consumer/find-place.c \
	lib/consumer/in-hand.c \
	lib/consumer/join.c \
	lib/consumer/lanes.c \
	lib/consumer/messages.c \
	lib/consumer/observer.c \
	lib/consumer/place.c \
	lib/consumer/sleep.c \
	lib/consumer/turn.c \
	lib/consumer/unchecked.h \
	lib/consumer/until.c \
	lib/consumer/wait.c \
	lib/consumer/window.c
lib_consumer_libconsumer_la_CPPFLAGS = $(CORE_CPPFLAGS) -DSHMR_UNCHECKED_NAMES
lib_consumer_libconsumer_la_CFLAGS = $(LIBRARY_CFLAGS)
lib_consumer_libconsumer_la_LDFLAGS = $(SANITIZE_FLAGS)

lib_LTLIBRARIES += libshmring-consumer.la
libshmring_consumer_la_SOURCES =
libshmring_consumer_la_LIBADD = lib/consumer/libconsumer.la libshmring.la
libshmring_consumer_la_LDFLAGS = $(LIBRARY_LDFLAGS) \
	-version-info $(LIBSHMRING_CONSUMER_VERSION) \
	-Wl,--version-script=$(srcdir)/lib/consumer/libshmring-consumer.map
EXTRA_libshmring_consumer_la_DEPENDENCIES = lib/consumer/libshmring-consumer.map

pkgconfig_DATA += lib/consumer/shmring-consumer.pc
EXTRA_DIST += lib/consumer/libshmring-consumer.map
