/* SPDX-License-Identifier: MIT */
/*
 * stop: see stop.h.
 *
 * The kernel tells which process listens at the socket (SO_PEERCRED). Its process ID alone
 * may be another process's by the time of the signal. So a descriptor of the process is
 * opened, and then the connection is looked at: it stands, so the process that listens
 * was alive when the descriptor was opened, and the descriptor is of that process.
 */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

enum { PATIENCE_MS = 10000 }; /* more than its threads need to end */

/* A connection to what listens there; -ENOENT or -ECONNREFUSED: nothing does. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s, e;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&address, sizeof(address)) == 0)
		return s < 0 ? -errno : s;
	e = -errno;
	close(s);
	return e;
}

static bool stands(int s)
{
	struct pollfd p = { .fd = s };

	return poll(&p, 1, 0) == 0;
}

/* The process's own name for itself; "?" if it cannot be read. */
static void name_of(pid_t pid, char ret[32])
{
	char path[40];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, ret, 31);
		close(fd);
	}
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (n <= 0)
		strcpy(ret, "?");
}

static int refuse(const char *socket, pid_t pid, const char *name)
{
	if (pid <= 0)
		log_say(LOG_ERR, "%s: the broker runs in another PID namespace; stop it there",
			socket);
	else
		log_say(LOG_ERR,
			"%s: process %d (%s) listens there and is not shmringd; if systemd starts "
			"the "
			"broker, stop it with 'systemctl stop shmringd.socket shmringd.service'",
			socket, (int)pid, name);
	return EXIT_FAILURE;
}

static int end(const char *socket, pid_t pid, int process)
{
	struct pollfd p = { .fd = process, .events = POLLIN };
	int n;

	if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0) < 0 && errno != ESRCH) {
		log_say(LOG_ERR, "%s: cannot stop process %d: %s", socket, (int)pid,
			strerror(errno));
		return EXIT_FAILURE;
	}
	do
		n = poll(&p, 1, PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return EXIT_SUCCESS;
	log_say(LOG_ERR,
		"%s: process %d does not end; is it stopped? SIGKILL ends it, and harms no ring",
		socket, (int)pid);
	return EXIT_FAILURE;
}

static int stop_peer(const char *socket, int s)
{
	struct ucred peer = { .pid = 0 };
	socklen_t size = sizeof(peer);
	char name[32] = "?";
	int process, status;

	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		peer.pid = 0;
	process = peer.pid > 0 ? (int)syscall(SYS_pidfd_open, peer.pid, 0) : -1;
	name_of(peer.pid, name);
	if (peer.pid <= 0 || (process >= 0 && stands(s) && !strstr(name, "shmringd")))
		status = refuse(socket, peer.pid, name);
	else if (process >= 0 && stands(s))
		status = end(socket, peer.pid, process);
	else
		status = EXIT_SUCCESS; /* it has just ended */
	if (process >= 0)
		close(process);
	return status;
}

int stop_broker(const char *socket)
{
	int s = connect_to(socket), status;

	if (s == -ENOENT || s == -ECONNREFUSED) {
		log_say(LOG_NOTICE, "%s: no broker listens there", socket);
		return EXIT_SUCCESS;
	}
	if (s < 0) {
		log_say(LOG_ERR, "%s: cannot reach the broker: %s", socket, strerror(-s));
		return EXIT_FAILURE;
	}
	status = stop_peer(socket, s);
	close(s);
	return status;
}
