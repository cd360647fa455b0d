# SPDX-License-Identifier: MIT
# libshmring: the ring itself.

noinst_LTLIBRARIES += lib/core/libcore.la
lib_core_libcore_la_SOURCES = \
	$(TEXT_SOURCES) \
	lib/core/address.c \
	lib/core/address.h \
	lib/core/arrivals.c \
	lib/core/atomic.h \
	lib/core/attachment.c \
	lib/core/attachment.h \
	lib/core/create.c \
	lib/core/create.h \
	lib/core/doorbell.c \
	lib/core/doorbell.h \
	lib/core/ephemeral.c \
	lib/core/ephemeral.h \
	lib/core/examine.c \
	lib/core/examine.h \
	lib/core/explain.c \
	lib/core/explain.h \
	lib/core/fault.c \
	lib/core/fault.h \
	lib/core/in-use.c \
	lib/core/in-use.h \
	lib/core/isolated-lane.c \
	lib/core/isolated-lane.h \
	lib/core/kick.c \
	lib/core/kick.h \
	lib/core/lane.c \
	lib/core/lane.h \
	lib/core/layout.c \
	lib/core/layout.h \
	lib/core/look.c \
	lib/core/look.h \
	lib/core/memory.c \
	lib/core/memory.h \
	lib/core/open.c \
	lib/core/open.h \
	lib/core/options.c \
	lib/core/options.h \
	lib/core/peers.c \
	lib/core/peers.h \
	lib/core/registry.c \
	lib/core/registry.h \
	lib/core/remove.c \
	lib/core/remove.h \
	lib/core/repair.c \
	lib/core/ring.c \
	lib/core/ring.h \
	lib/core/segment.c \
	lib/core/segment.h \
	lib/core/spin.c \
	lib/core/spin.h \
	lib/core/stamp.c \
	lib/core/stamp.h \
	lib/core/stat.c \
	lib/core/sys.c \
	lib/core/sys.h \
	lib/core/tally.c \
	lib/core/tally.h \
	lib/core/unused.c \
	lib/core/unused.h \
	lib/core/uring.c \
	lib/core/uring.h \
	lib/core/vacancy.c \
	lib/core/vacancy.h \
	lib/core/waitable.c \
	lib/core/waitable.h \
	lib/core/watch.c \
	lib/core/watch.h
lib_core_libcore_la_CPPFLAGS = $(CORE_CPPFLAGS)
lib_core_libcore_la_CFLAGS = $(LIBRARY_CFLAGS)
lib_core_libcore_la_LDFLAGS = $(SANITIZE_FLAGS)

lib_LTLIBRARIES += libshmring.la
libshmring_la_SOURCES =
libshmring_la_LIBADD = lib/core/libcore.la lib/client/libclient.la lib/proto/libproto.la
libshmring_la_LDFLAGS = $(LIBRARY_LDFLAGS) \
	-version-info $(LIBSHMRING_VERSION) \
	-Wl,--version-script=$(srcdir)/lib/core/libshmring.map
EXTRA_libshmring_la_DEPENDENCIES = lib/core/libshmring.map

pkgconfig_DATA += lib/core/shmring.pc
EXTRA_DIST += lib/core/libshmring.map
