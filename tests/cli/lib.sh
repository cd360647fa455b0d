# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# lib: what every test of shmring(1) needs. Read with `.` as the first thing, with the time limit
# in seconds as argument of time_limit. A test runs in a private directory, which is also the
# parent of its runtime directory, and proves at the end that no process and no ring is left.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${SHMRING:=shmring}"
: "${CK_TIMEOUT_MULTIPLIER:=1}"

# time_limit SECONDS: start again under timeout(1), which ends the script and all that it started.
time_limit() {
	[ "${CLI_LIMITED:-}" = "$0" ] && return
	CLI_LIMITED=$0
	export CLI_LIMITED
	exec timeout --kill-after=10 $(($1 * CK_TIMEOUT_MULTIPLIER)) "$0"
}

cases=0
failures=0

# ok NAME: the case is in order. not_ok NAME [TEXT]: it is not.
ok() {
	cases=$((cases + 1))
	echo "ok $cases - $1"
}

not_ok() {
	cases=$((cases + 1))
	failures=$((failures + 1))
	echo "not ok $cases - $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

skip() {
	cases=$((cases + 1))
	echo "ok $cases - $1 # SKIP $2"
}

# skip_all REASON: nothing of this script can run here.
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# check NAME COMMAND...: the command succeeds.
check() {
	check_name=$1
	shift
	if check_output=$("$@" 2>&1); then
		ok "$check_name"
	else
		not_ok "$check_name" "status $? of: $*
$check_output"
	fi
}

# expect STATUS NAME COMMAND...: the command ends so; its output is in the files out and err.
expect() {
	expect_status=$1
	expect_name=$2
	shift 2
	status=0
	"$@" >out 2>err </dev/null || status=$?
	if [ "$status" = "$expect_status" ]; then
		ok "$expect_name"
	else
		not_ok "$expect_name" "status $status instead of $expect_status of: $*
$(head -c 2000 err)"
	fi
}

# says NAME PATTERN: what expect ran last wrote that to stderr.
says() {
	if grep -q -e "$2" err; then
		ok "$1"
	else
		not_ok "$1" "no \`$2' in: $(head -c 2000 err)"
	fi
}

# same NAME FILE FILE: byte for byte.
same() {
	check "$1" cmp "$2" "$3"
}

# start COMMAND...: to be called with `&`; $! is then the process itself. The shell would have it
# ignore SIGINT. A file that shows that it has started must not be there before.
start() {
	exec env --default-signal=INT "$@"
}

# until_true COMMAND...: look every 20 ms whether it has become true, within 10 s.
until_true() {
	tries=$((500 * CK_TIMEOUT_MULTIPLIER))
	while ! "$@" >looked 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.02
	done
}

# Numbers of a ring: consumers RING, producers RING.
consumers() {
	"$SHMRING" stat --json "$1" | sed -n 's/^  "consumers": \([0-9]*\),*$/\1/p'
}

producers() {
	"$SHMRING" stat --json "$1" | sed -n 's/^  "producers": \([0-9]*\),*$/\1/p'
}

has_consumers() {
	[ "$(consumers "$1" 2>/dev/null)" = "$2" ]
}

has_producers() {
	[ "$(producers "$1" 2>/dev/null)" = "$2" ]
}

# ended PID STATUS NAME: the process that was started in the background ends so.
ended() {
	ended_status=0
	wait "$1" 2>/dev/null || ended_status=$?
	if [ "$ended_status" = "$2" ]; then
		ok "$3"
	else
		not_ok "$3" "status $ended_status instead of $2"
	fi
}

# Processes that were started here: they have this script's runtime directory in their environment.
processes_left() {
	grep -l -z -F -x -e "XDG_RUNTIME_DIR=$work" /proc/[0-9]*/environ 2>/dev/null
}

leave() {
	cd /
	rm -rf "$work"
}

# finish: the last word of every test.
finish() {
	left=$(processes_left)
	if [ -z "$left" ]; then
		ok "no process is left"
	else
		not_ok "no process is left" "$left"
	fi
	left=$(find "$work/shmring" -mindepth 1 2>/dev/null)
	if [ -z "$left" ]; then
		ok "no ring is left"
	else
		not_ok "no ring is left" "$left"
	fi
	echo "1..$cases"
	[ "$failures" = 0 ]
	exit
}

# enter: make the private directory and go there.
enter() {
	if ! "$SHMRING" --version >/dev/null; then
		echo "Bail out! $SHMRING does not run"
		exit 99
	fi
	parent=/dev/shm
	[ -w "$parent" ] || parent=${TMPDIR:-/tmp}
	work=$(mktemp -d "$parent/shmring-cli-XXXXXX") || exit 99
	trap leave EXIT
	trap 'exit 143' TERM INT HUP PIPE
	chmod 700 "$work"
	XDG_RUNTIME_DIR=$work
	export XDG_RUNTIME_DIR
	cd "$work" || exit 99
}
