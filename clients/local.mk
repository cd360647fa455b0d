# SPDX-License-Identifier: MIT
# shmring(1): one file per subcommand.

bin_PROGRAMS += clients/shmring

clients_shmring_SOURCES = \
	$(TEXT_SOURCES) \
	clients/address.c \
	clients/address.h \
	clients/broker.c \
	clients/cli.h \
	clients/clock.c \
	clients/clock.h \
	clients/create.c \
	clients/emit.c \
	clients/emit.h \
	clients/forget.c \
	clients/frame.c \
	clients/frame.h \
	clients/foreign.c \
	clients/foreign.h \
	clients/holders.c \
	clients/holders.h \
	clients/join.c \
	clients/join.h \
	clients/json.c \
	clients/json.h \
	clients/latency.c \
	clients/latency.h \
	clients/ls.c \
	clients/main.c \
	clients/options.c \
	clients/options.h \
	clients/out.c \
	clients/out.h \
	clients/progress.c \
	clients/progress.h \
	clients/pub.c \
	clients/publish.c \
	clients/publish.h \
	clients/rm.c \
	clients/samples.c \
	clients/samples.h \
	clients/say.c \
	clients/stat.c \
	clients/stop.c \
	clients/stop.h \
	clients/sub.c \
	clients/subscribe.c \
	clients/subscribe.h \
	clients/units.c \
	clients/units.h \
	clients/view.c \
	clients/view.h
clients_shmring_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib/text $(JANSSON_CFLAGS)
clients_shmring_LDADD = $(SHMRING_LIBS) $(JANSSON_LIBS)
clients_shmring_LDFLAGS = $(CLIENT_LDFLAGS)
