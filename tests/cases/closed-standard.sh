#!/bin/sh
# SPDX-License-Identifier: MIT
#
# closed-standard: commands and the broker are started without some of the descriptors 0 to 2, as
# daemons and cron-like starters do, alone and beside a live stream. The ring stays whole,
# and output that cannot be written is a failure.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
: "${abs_builddir:=$PWD}"
: "${SHMRINGD:=$abs_builddir/daemon/shmringd}"
time_limit 240
enter

SHMRING_BROKER=$work/socket
export SHMRING_BROKER
closings='0 1 2 01 02 12 012'

# without DIGITS COMMAND...: become the command, with these descriptors closed.
without() {
	case $1 in *0*) exec <&- ;; esac
	case $1 in *1*) exec >&- ;; esac
	case $1 in *2*) exec 2>&- ;; esac
	shift
	exec "$@"
}

# closed DIGITS COMMAND...: run it so; status has how it ended.
closed() {
	status=0
	(digits=$1; shift; without "$digits" timeout 20 "$@") >/dev/null 2>&1 </dev/null || status=$?
}

# head_of RING: identity, registry and doorbell the parts that no process may change.
head_of() {
	head -c 4096 "$1" | md5sum
}

fill() {
	rm -f r
	"$SHMRING" create --lane-size 64K ./r && seq 1 5 >five && "$SHMRING" pub ./r five
}

# harmless NAME CLOSING COMMAND...: the ring can still be read, whole, and its head is the same.
harmless() {
	harmless_name=$1
	shift
	fill
	before=$(head_of r)
	closed "$@"
	if [ "$before" = "$(head_of r)" ] && "$SHMRING" sub --no-follow ./r >out 2>err &&
		[ "$(head -n 5 out)" = "$(cat five)" ]; then
		ok "$harmless_name"
	else
		not_ok "$harmless_name" "status $status; $(cat err)"
	fi
}

for c in $closings; do
	harmless "stat without $c" "$c" "$SHMRING" stat ./r
	case $c in *1*) check "... tells that it wrote nothing" test "$status" = 1 ;; esac
	harmless "stat --json without $c" "$c" "$SHMRING" stat --json ./r
	harmless "sub --no-follow without $c" "$c" "$SHMRING" sub --no-follow ./r
	harmless "sub --timeout without $c" "$c" "$SHMRING" sub --timeout 100ms ./r
	harmless "pub without $c" "$c" "$SHMRING" pub ./r five
	harmless "pub from standard input without $c" "$c" "$SHMRING" pub ./r
	harmless "pub that waits without $c" "$c" "$SHMRING" pub --timeout 50ms --wait-consumers 3 ./r
	harmless "create of what is there without $c" "$c" "$SHMRING" create ./r
	harmless "ls without $c" "$c" "$SHMRING" ls "$work"
	harmless "forget of nobody without $c" "$c" "$SHMRING" forget ./r nobody
	harmless "rm of another without $c" "$c" "$SHMRING" rm ./other
	rm -f made
	closed "$c" "$SHMRING" create --lane-size 64K ./made
	check "create without $c" test "$status" = 0
	check "... makes a sound ring" "$SHMRING" stat ./made
	closed "$c" "$SHMRING" rm ./made
	check "rm without $c" test ! -e made
done

# Help that does not arrive is no success either.
for what in --help --version "sub --help" "help pub" "rm --usage"; do
	# shellcheck disable=SC2086 # words
	closed 1 "$SHMRING" $what
	check "$what without 1 tells that it wrote nothing" test "$status" = 1
done

# Beside a live stream: a command with closed descriptors that looks at it stops no process.
fill
"$SHMRING" sub --name live --count 20005 ./r >stream 2>sub.err &
sub=$!
until_true has_consumers ./r 1
(seq 6 10000; until [ -e go ]; do sleep 0.02; done; seq 10001 20005) |
	"$SHMRING" pub ./r 2>pub.err &
pub=$!
until_true has_producers ./r 1
for c in $closings; do
	closed "$c" "$SHMRING" stat ./r
	closed "$c" "$SHMRING" sub --timeout 50ms ./r
	closed "$c" "$SHMRING" ls "$work"
done
touch go
ended "$pub" 0 "the producer beside them goes on"
ended "$sub" 0 "the consumer, too"
seq 1 20005 >whole
same "and nothing of the stream is missing" whole stream
rm -f r

[ -x "$SHMRINGD" ] || {
	skip "the broker" "there is no $SHMRINGD"
	finish
}
for what in --help --version; do
	closed 1 "$SHMRINGD" $what
	check "shmringd $what without 1 tells that it wrote nothing" test "$status" = 1
done
for c in $closings; do
	(without "$c" env --default-signal=INT "$SHMRINGD" --socket "$SHMRING_BROKER" \
		--directory "$work/rings" ${SHMRING_SANITIZED:+--no-sandbox}) &
	broker=$!
	until_true "$SHMRING" ls broker:
	for one in plain isolated; do
		[ "$one" = plain ] && flag= || flag=--isolated
		# shellcheck disable=SC2086 # no flag is no word
		closed "$c" "$SHMRING" create --lane-size 64K --unread hold $flag "broker:$one"
		closed "$c" "$SHMRING" pub "broker:$one" five
		closed "$c" "$SHMRING" stat "broker:$one"
		expect 0 "a $one ring of a broker that was started without $c" \
			"$SHMRING" sub --no-follow "broker:$one"
		same "... has what was published" five out
	done
	closed "$c" "$SHMRING" broker stat
	check "... and the broker is there" "$SHMRING" broker stat
	"$SHMRING" rm broker:plain broker:isolated
	kill "$broker"
	ended "$broker" 0 "... and ends well"
done
finish
