# SPDX-License-Identifier: MIT
# libshmring-producer: writing into a lane.

noinst_LTLIBRARIES += lib/producer/libproducer.la
lib_producer_libproducer_la_SOURCES = \
	lib/producer/attach.c \
	lib/producer/checked.c \
	lib/producer/copy.c \
	lib/producer/fd.c \
	lib/producer/lag.c \
	lib/producer/messages.c \
	lib/producer/press.c \
	lib/producer/producer.c \
	lib/producer/producer.h \
	lib/producer/reserve.c \
	lib/producer/unchecked.h \
	lib/producer/wait.c \
	lib/producer/wake.c
lib_producer_libproducer_la_CPPFLAGS = $(CORE_CPPFLAGS) -DSHMR_UNCHECKED_NAMES
lib_producer_libproducer_la_CFLAGS = $(LIBRARY_CFLAGS)
lib_producer_libproducer_la_LDFLAGS = $(SANITIZE_FLAGS)

lib_LTLIBRARIES += libshmring-producer.la
libshmring_producer_la_SOURCES =
libshmring_producer_la_LIBADD = lib/producer/libproducer.la libshmring.la
libshmring_producer_la_LDFLAGS = $(LIBRARY_LDFLAGS) \
	-version-info $(LIBSHMRING_PRODUCER_VERSION) \
	-Wl,--version-script=$(srcdir)/lib/producer/libshmring-producer.map
EXTRA_libshmring_producer_la_DEPENDENCIES = lib/producer/libshmring-producer.map

pkgconfig_DATA += lib/producer/shmring-producer.pc
EXTRA_DIST += lib/producer/libshmring-producer.map
