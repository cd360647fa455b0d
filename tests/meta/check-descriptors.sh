#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-descriptors: every call of the libraries that makes a descriptor is an argument of
# shmr_fd_above_standard(), so no descriptor of a library is ever 0, 1 or 2. Programs of the
# project fill those numbers when they start.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
. "$abs_srcdir/tests/meta/tap.sh"

# makers FILE...: statements that make a descriptor outside of the function, as file:line: text.
makers() {
	awk '
	BEGIN {
		call = "(open|openat|openat2|creat|memfd_create|shm_open|socket|accept|accept4|dup|" \
			"dup2|dup3|eventfd|timerfd_create|signalfd|epoll_create1?|inotify_init1?|" \
			"pidfd_open|pidfd_getfd|userfaultfd|mkstemp|mkostemp|opendir|fopen|popen|" \
			"tmpfile|socketpair|pipe|pipe2|recvmsg)"
		raw = "SYS_(io_uring_setup|open|openat|openat2|memfd_create|pidfd_open|" \
			"pidfd_getfd|dup|socket|accept4|eventfd2|userfaultfd|perf_event_open)"
		good = "shmr_fd_above_standard\\([ \t]*(" call "\\(|\\(int\\)[ \t]*syscall\\(" raw ")"
		bad = "(^|[^a-zA-Z0-9_>.*])(" call "\\(|" raw ")|F_DUPFD|SO_PEERPIDFD"
	}
	FNR == 1 { statement = "" }
	/^[ \t]*\*/ || /^[ \t]*\/\*/ { next }
	{
		line = $0
		gsub(/"[^"]*"/, "\"\"", line)
		sub(/\/\*.*/, "", line)
		statement = statement " " line
		if (line !~ /[;{}][ \t]*$/)
			next
		received = statement ~ /proto_receive\(/ && statement !~ /int proto_receive/
		gsub(good, "", statement)
		gsub(/F_DUPFD_CLOEXEC, STDERR_FILENO \+ 1/, "", statement)
		if (statement ~ bad)
			print FILENAME ":" FNR ":" statement
		if (received)
			took[FILENAME] = FNR
		if (statement ~ /\*ret_fd = shmr_fd_above_standard\(\*ret_fd\)/)
			moved[FILENAME] = 1
		statement = ""
	}
	END {
		for (file in took)
			if (!(file in moved))
				print file ":" took[file] ": what was received is not moved"
	}' "$@"
}

# lib/proto knows no other room; lib/client moves what it receives.
excused() {
	grep -v '/lib/proto/packet\.c:[0-9]*:.*recvmsg('
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/check-descriptors-XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT

# caught NAME TEXT: the checker sees something in a file with this text.
caught() {
	printf '%s\n' "$2" >"$dir/wrong.c"
	tap_caught "$1" "$(makers "$dir/wrong.c" | excused)"
}

tap_plan 8
tap_ok "no descriptor of a library is 0, 1 or 2" \
	"$(makers "$abs_srcdir"/lib/*/*.c "$abs_srcdir"/lib/*/*.h | excused)"
for main in clients/main.c daemon/main.c; do
	tap_ok "$main fills those numbers first" "$(sed -n '/^int main/,/^}/p' "$abs_srcdir/$main" |
		awk '/fill_standard_descriptors/ { filled = 1 }
			/argp_parse|open\(/ && !filled { print "it does not: " $0 }')"
done

# The checker itself.
caught "a plain open" '	fd = open(path, O_RDONLY);'
caught "a call over two lines" '	fd =
		openat(dir, path, O_RDONLY);'
caught "a raw system call" '	fd = (int)syscall(SYS_io_uring_setup, 4, &p);'
caught "a copy that may be low" '	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);'
caught "a descriptor that was received" '	e = proto_receive(s, &m, false, &fd);'
