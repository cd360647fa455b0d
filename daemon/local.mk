# SPDX-License-Identifier: MIT
# shmringd: a thin program over a library, so that tests can run a broker themselves.

noinst_LTLIBRARIES += daemon/libbroker.la
daemon_libbroker_la_SOURCES = \
	daemon/beside.c \
	daemon/beside.h \
	daemon/broker.c \
	daemon/broker.h \
	daemon/catalog.c \
	daemon/catalog.h \
	daemon/config.c \
	daemon/config.h \
	daemon/descriptor-share.c \
	daemon/descriptor-share.h \
	daemon/descriptor-store.c \
	daemon/descriptor-store.h \
	daemon/isolated-files.c \
	daemon/isolated-files.h \
	daemon/isolated-kept.c \
	daemon/isolated-kept.h \
	daemon/isolated.c \
	daemon/isolated.h \
	daemon/keeper-process.c \
	daemon/keeper-process.h \
	daemon/keeper-queue.c \
	daemon/keeper-queue.h \
	daemon/keeper-send.c \
	daemon/keeper-send.h \
	daemon/keeper-start.c \
	daemon/keeper-start.h \
	daemon/keeper-words.c \
	daemon/keeper-words.h \
	daemon/keeper.c \
	daemon/keeper.h \
	daemon/label.c \
	daemon/label.h \
	daemon/lane-copier.c \
	daemon/lane-copier.h \
	daemon/listener.c \
	daemon/listener.h \
	daemon/log-limit.c \
	daemon/log-limit.h \
	daemon/log.c \
	daemon/log.h \
	daemon/loop.c \
	daemon/loop.h \
	daemon/metrics-text.c \
	daemon/metrics.c \
	daemon/metrics.h \
	daemon/policy.c \
	daemon/policy.h \
	daemon/quota.c \
	daemon/quota.h \
	daemon/reaper.c \
	daemon/reaper.h \
	daemon/refuse.c \
	daemon/refuse.h \
	daemon/relics.c \
	daemon/relics.h \
	daemon/ring-numbers.c \
	daemon/ring-numbers.h \
	daemon/rings.c \
	daemon/rings.h \
	daemon/sandbox.c \
	daemon/sandbox.h \
	daemon/serve-lane.c \
	daemon/serve-lane.h \
	daemon/serve-metrics.c \
	daemon/serve-metrics.h \
	daemon/serve.c \
	daemon/serve.h \
	daemon/service.h \
	daemon/session.c \
	daemon/session.h \
	daemon/sessions.c \
	daemon/sessions.h \
	daemon/sigbus.c \
	daemon/sigbus.h \
	daemon/socket-path.c \
	daemon/socket-path.h \
	daemon/stop.c \
	daemon/stop.h \
	daemon/store.c \
	daemon/store.h \
	daemon/succession.c \
	daemon/succession.h \
	daemon/threads.c \
	daemon/threads.h \
	daemon/upgrade.c \
	daemon/upgrade.h
daemon_libbroker_la_CPPFLAGS = $(BROKER_CPPFLAGS)
daemon_libbroker_la_LDFLAGS = $(SANITIZE_FLAGS)

sbin_PROGRAMS += daemon/shmringd
daemon_shmringd_SOURCES = daemon/arguments.c daemon/arguments.h daemon/main.c
daemon_shmringd_CPPFLAGS = $(BROKER_CPPFLAGS)
daemon_shmringd_LDADD = $(BROKER_LIBS)
daemon_shmringd_LDFLAGS = $(SANITIZE_FLAGS)

# @sbindir@ is spelled with variables of make, so make fills it in.
systemdunitdir = $(prefix)/lib/systemd/system
sysusersdir = $(prefix)/lib/sysusers.d
brokerexampledir = $(docdir)
systemdunit_DATA = daemon/shmringd.service daemon/shmringd.socket
dist_sysusers_DATA = daemon/sysusers/shmringd.conf
dist_brokerexample_DATA = daemon/shmringd.conf.example
EXTRA_DIST += daemon/shmringd.service.in daemon/shmringd.socket daemon/shmringd.conf.default
CLEANFILES += daemon/shmringd.service
daemon/shmringd.service: daemon/shmringd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) daemon && sed -e 's|@sbindir[@]|$(sbindir)|' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|' $(srcdir)/daemon/shmringd.service.in >$@

# The unit names this file, so it has to be there; it is the administrator's once it is.
shmringd_conf = $(DESTDIR)$(sysconfdir)/shmring/shmringd.conf
INSTALL_HOOKS += install-shmringd-conf
UNINSTALL_HOOKS += uninstall-shmringd-conf
PHONY_TARGETS += install-shmringd-conf uninstall-shmringd-conf
install-shmringd-conf:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/shmring'
	test -e '$(shmringd_conf)' || \
		$(INSTALL_DATA) '$(srcdir)/daemon/shmringd.conf.default' '$(shmringd_conf)'
uninstall-shmringd-conf:
	! cmp -s '$(srcdir)/daemon/shmringd.conf.default' '$(shmringd_conf)' || \
		rm -f '$(shmringd_conf)'
	-rmdir '$(DESTDIR)$(sysconfdir)/shmring' 2>/dev/null
