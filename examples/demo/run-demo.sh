#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run-demo: the demo verifies itself; here it is run small, in all its forms, and ended by force.
# Speaks TAP.

set -u
demo=${abs_builddir:-$PWD}/examples/demo/shmring-demo
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
mkfifo "$dir/fifo" || exit 1
count=0

# case_is NAME STATUS: 0 is in order; otherwise what $dir/out says is shown.
case_is() {
	count=$((count + 1))
	if [ "$2" = 0 ]; then
		echo "ok $count - $1"
	else
		echo "not ok $count - $1"
		sed 's/^/# /' "$dir/out"
	fi
}

# runs OPTION...: the demo ends well, says so, and leaves no ring where it said it was.
runs() {
	timeout 120 "$demo" "$@" >"$dir/out" 2>&1 &&
		grep -q '^Everything arrived as it should' "$dir/out" || return
	ring=$(sed -n 's/^Ring: \(\/.*\)/\1/p' "$dir/out")
	[ -z "$ring" ] || [ ! -e "$ring" ]
}

# ended_by SIGNAL: the demo gets it in the middle; all its processes end. They hold the fifo open
# for writing, so its reader sees the end of it when the last one is gone.
ended_by() {
	"$demo" --bytes=100M --ring="$dir/ring" >"$dir/fifo" 2>"$dir/out" &
	pid=$!
	{
		read -r _ && read -r _ && read -r _ # the third line names the ring: it is there
		kill -s "$1" "$pid"
		timeout 60 cat >>"$dir/out"
	} <"$dir/fifo"
	status=$?
	wait "$pid"
	return "$status"
}

refuses() {
	"$demo" "$@" >"$dir/out" 2>&1
	[ $? = 2 ]
}

# The broker is $SHMRINGD, or that of the build. In a build with a sanitizer it makes more system
# calls than its sandbox knows.
start_broker() {
	"$shmringd" --quiet --socket "$dir/socket" --directory "$dir/rings" \
		${SHMRING_SANITIZED:+--no-sandbox} 2>"$dir/broker.log" &
	broker=$!
}

broker_starts() {
	start_broker
	for _ in $(seq 500); do
		[ ! -S "$dir/socket" ] || return 0
		sleep 0.02
	done
	return 1
}

# The broker is killed as soon as the ring is there, and another one started. Processes that attach
# meanwhile wait for it.
broker_dies() {
	"$demo" --bytes=100M --ring=broker:demo >"$dir/fifo" 2>"$dir/out" &
	pid=$!
	{
		read -r _ && read -r _ && read -r _
		kill -s KILL "$broker"
		wait "$broker" 2>/dev/null # its successor would find it there
		start_broker
		timeout 60 cat >>"$dir/out"
	} <"$dir/fifo"
	wait "$pid"
}

# with_broker NAME COMMAND...: a case that needs one.
with_broker() {
	if [ -x "$shmringd" ]; then
		name=$1
		shift
		"$@"
		case_is "$name" $?
	else
		count=$((count + 1))
		echo "ok $count - $1 # SKIP there is no $shmringd"
	fi
}

shmringd=${SHMRINGD:-${abs_builddir:-$PWD}/daemon/shmringd}
SHMRING_BROKER=$dir/socket
export SHMRING_BROKER

echo "1..12"
runs --quick
case_is "in a private directory" $?
runs --quick --ring="$dir/ring"
case_is "with a ring at a path" $?
runs --quick --anonymous
case_is "with an anonymous ring" $?
runs --bytes=100K
case_is "with very few files" $?
refuses --bytes=much
case_is "refuses what is no size" $?
refuses --anonymous --ring="$dir/ring"
case_is "refuses a name for a ring without one" $?
ended_by TERM
case_is "all processes end on SIGTERM" $?
[ ! -e "$dir/ring" ]
case_is "and the ring is removed" $?
ended_by KILL
case_is "all processes end when the parent is killed" $?
with_broker "a broker starts" broker_starts
with_broker "with a ring of the broker" runs --quick --ring=broker:demo
with_broker "with a ring of a broker that is killed meanwhile" broker_dies
[ -z "${broker:-}" ] || kill "$broker"
