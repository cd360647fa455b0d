#!/bin/sh
# SPDX-License-Identifier: MIT
#
# broker: every command with rings of the broker, and what it tells of itself. The broker is
# $SHMRINGD, or daemon/shmringd of the build.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
: "${abs_builddir:=$PWD}"
: "${SHMRINGD:=$abs_builddir/daemon/shmringd}"
time_limit 60
enter

SHMRING_BROKER=$work/socket
export SHMRING_BROKER
expect 1 "without a broker" "$SHMRING" ls broker:
says "it says what to do" "start shmringd"
says "it names the broker once" '^shmring ls: no broker listens at '
expect 1 "a ring without a broker" "$SHMRING" create broker:one
says "it says what to do" "start shmringd"
says "it names the ring once" '^shmring create: broker:one: no broker listens at '
expect 1 "stat without a broker" "$SHMRING" broker stat
says "it names the broker once" '^shmring broker: no broker listens at '
expect 1 "--persistent is for the broker" "$SHMRING" create --persistent plain
says "it says so" "of the broker"
expect 1 "a name that is none" "$SHMRING" stat broker:a/b
says "it says what a name is" "1 to 63 letters"

[ -x "$SHMRINGD" ] || {
	skip "with a broker" "there is no $SHMRINGD"
	finish
}

start_broker() {
	start "$SHMRINGD" --quiet --socket "$SHMRING_BROKER" --directory "$work/rings" \
		--state-directory "$work/state" ${SHMRING_SANITIZED:+--no-sandbox} 2>broker.log &
	broker=$!
	until_true "$SHMRING" ls broker:
}
start_broker

expect 0 "ls without rings" "$SHMRING" ls broker:
check "is empty" test ! -s out
expect 0 "a ring" "$SHMRING" create --lane-size 64K --lanes 2 --unread hold broker:one
expect 1 "another one of that name" "$SHMRING" create broker:one
says "it names the ring once" '^shmring create: broker:one: it exists already$'
expect 1 "one with a mode" "$SHMRING" create --mode 600 broker:three
says "it names the ring once" '^shmring create: broker:three: the rings of a broker have no mode'
expect 0 "one on disk" "$SHMRING" create --lane-size 64K --persistent broker:two
check "it is there" test -e state/two
expect 0 "ls" "$SHMRING" ls broker:
check "names them" sh -c 'grep -q "^broker:one " out && grep -q "^broker:two " out'
expect 0 "ls --json" "$SHMRING" ls --json broker:
check "has their shape" sh -c \
	'jq -e ".[0] | .ring == \"broker:one\" and .lane_size == 65536 and .lanes == 2" out'

seq 1 100 >some
expect 0 "pub" "$SHMRING" pub broker:one some
expect 0 "sub" "$SHMRING" sub --name kept --no-follow broker:one
same "it is what was published" some out
expect 0 "stat" "$SHMRING" stat broker:one
check "shows the kept name" grep -q '^kept ' out
expect 0 "forget" "$SHMRING" forget broker:one kept
expect 1 "forget it twice" "$SHMRING" forget broker:one kept

expect 0 "broker stat" "$SHMRING" broker stat
check "has a line for a ring" grep -q '^one ' out
check "fits into 80 columns" sh -c '! grep -E ".{81}" out'
check "has no two rows of one name" sh -c \
	'[ -z "$(sed "/^$/,\$d; s/ .*//" out | sort | uniq -d)" ] && grep -q "^connections_total " out'
expect 0 "broker stat --prometheus" "$SHMRING" broker stat --prometheus
check "is its text" grep -q '^# TYPE ' out
check "has a sample" grep -q '{ring="one",.*} [0-9]*$' out
grep -c '^[^#]' out >samples
expect 0 "broker stat --json" "$SHMRING" broker stat --json
jq length out >objects
check "its numbers are as the broker wrote them" sh -c \
	'grep -A 2 up_seconds out | grep -E -q "\"value\": [0-9]+(\.[0-9]{1,3})?$"'
same "has as many" samples objects
check "has the ring" sh -c 'jq -e "any(.[]; .labels.ring == \"two\" and .value >= 0)" out'

# one whose lanes are files of their own
expect 1 "--isolated is for the broker" "$SHMRING" create --isolated plain
says "it says so" "of the broker"
expect 1 "--isolated on disk" "$SHMRING" create --isolated --persistent broker:apart
says "it says so" "cannot be persistent"
expect 0 "an isolated ring" "$SHMRING" create --isolated --lane-size 64K --unread hold broker:apart
expect 0 "pub" "$SHMRING" pub broker:apart some
expect 0 "stat" "$SHMRING" stat broker:apart
check "sees its messages" grep -q ' 100 ' out
expect 0 "sub" "$SHMRING" sub --no-follow broker:apart
same "it is what was published" some out
start "$SHMRING" sub --from now broker:apart >out.apart &
sub=$!
until_true has_consumers broker:apart 1
expect 0 "rm" "$SHMRING" rm broker:apart
ended "$sub" 0 "the subscriber ends, for its ring has gone"

# The broker is stopped, and the reader of the output has gone: no process waits for the answer.
mkfifo unread
kill -STOP "$broker"
for what in "ls broker:" "broker stat" "stat broker:one"; do
	# shellcheck disable=SC2094 # a fifo: open it without waiting for the other side
	exec 9<>unread 8>unread 9<&-
	# shellcheck disable=SC2086 # words
	timeout 3 "$SHMRING" $what >&8 2>err &
	exec 8>&-
	ended "$!" 141 "$what ends when its reader has gone"
done
kill -CONT "$broker"

# a subscriber does not notice that the broker is killed; a publisher that comes later finds the ring
start "$SHMRING" sub --from now broker:one >out.sub &
sub=$!
until_true has_consumers broker:one 1
kill -KILL "$broker"
wait "$broker" 2>/dev/null
start_broker
expect 0 "pub after a restart" "$SHMRING" pub broker:one some
check "the old subscriber gets it" until_true cmp some out.sub
expect 0 "rm" "$SHMRING" rm broker:one broker:two
ended "$sub" 0 "the subscriber ends, for its ring has gone"
expect 1 "rm twice" "$SHMRING" rm broker:one
expect 1 "stat of what has gone" "$SHMRING" stat broker:one
kill -TERM "$broker"
ended "$broker" 0 "the broker ends"

finish
