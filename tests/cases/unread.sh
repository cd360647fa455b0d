#!/bin/sh
# SPDX-License-Identifier: MIT
#
# unread: a publisher without readers names what holds it up, or ends with --while-read.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 90
enter
seq 1 100000 >many
mkfifo pipe

# told PATTERN: the publisher with its errors in err.1 says so; then it is ended.
told() {
	check "it says: $1" until_true grep -q -e "$1" err.1
	kill "$pub"
	ended "$pub" 143 "and ends on a signal"
}

expect 0 "a small ring" "$SHMRING" create --lane-size 64K full
start "$SHMRING" pub --verbose full many 2>err.1 &
pub=$!
told "full: no room for 1 s: the ring has no consumer; start one, such as 'shmring sub full'"

start "$SHMRING" sub full >/dev/null &
sub=$!
until_true has_consumers full 1
until_true sh -c '"$0" stat --json full | jq -e "[.consumer[].lag] == [0]"' "$SHMRING"
kill -STOP "$sub"
start "$SHMRING" pub -v full many 2>err.1 &
pub=$!
told "no room for 1 s: the consumer in process $sub reads no messages"
kill -KILL "$sub"
wait "$sub" 2>/dev/null

expect 0 "a name" "$SHMRING" sub --name archive --count 1 full
start "$SHMRING" pub --verbose full many 2>err.1 &
pub=$!
told "kept for 'archive' has not moved.*shmring sub --name archive full.*shmring forget full archive"

# Without --verbose, and without a terminal, nothing is said; with one it is.
expect 3 "no terminal" "$SHMRING" pub --timeout 1.5s full many
check "so it reports nothing but the end" sh -c '! grep -q "archive" err'
if command -v script >/dev/null; then
	script -q -c "'$SHMRING' pub --timeout 1.5s full many" shown >/dev/null </dev/null
	check "a terminal shows the reason" grep -q "kept for 'archive'" shown
else
	skip "a terminal shows the reason" "script(1) is not installed"
fi
expect 0 "forget it" "$SHMRING" forget full archive
start "$SHMRING" pub --verbose --wait-consumers 2 full many 2>err.1 &
pub=$!
told "too few consumers for 1 s: 0 of 2 are attached"
expect 0 "remove the full ring" "$SHMRING" rm full

# Of several consumers the slowest is named: once, and again when it is another one.
expect 0 "a ring with several readers" "$SHMRING" create --lane-size 64K several
start "$SHMRING" sub several >/dev/null &
first=$!
until_true has_consumers several 1
start "$SHMRING" sub --name slow several >/dev/null &
slow=$!
until_true has_consumers several 2
start "$SHMRING" sub several >/dev/null &
last=$!
until_true has_consumers several 3
kill -STOP "$slow"
start "$SHMRING" pub --verbose several many - many <pipe 2>err.1 &
pub=$!
exec 3>pipe
check "the one that is stopped is named" until_true \
	grep -q "no room for 1 s: consumer 'slow' (process $slow) reads no messages" err.1
expect 3 "a second publisher waits for 2.5 s" "$SHMRING" pub --verbose --timeout 2.5s several many
check "and says so once" test "$(grep -c "consumer 'slow'" err)" = 1
check "as the first one" test "$(grep -c "no room" err.1)" = 1
kill -CONT "$slow"
has_passed() {
	"$SHMRING" stat --json several | jq -e '.lane[0].messages == 100000 and
		([.consumer[].lag] == [0, 0, 0])'
}
check "it goes on" until_true has_passed
kill -STOP "$first"
exec 3>&- # the publisher goes on with its next file
check "another one is named, and its time begins anew" until_true \
	grep -q "no room for 1 s: the consumer in process $first reads no messages" err.1
kill -KILL "$first"
ended "$first" 137 "when that is killed"
ended "$pub" 0 "the publisher can end"
kill "$slow" "$last"
ended "$slow" 143 "one reader ends"
ended "$last" 143 "and the other"
expect 0 "remove the ring of several" "$SHMRING" rm several

# --while-read: as the writer of a pipe.
expect 0 "a small one" "$SHMRING" create --lane-size 64K ring
start "$SHMRING" pub --while-read ring many 2>err &
pub=$!
"$SHMRING" sub --count 3 ring >out.1
seq 1 3 >want
same "a reader that takes three" want out.1
ended "$pub" 5 "the publisher ends when its last reader has gone"
says "and says why" "ring: no consumer is left"
says "and how much was published" "[1-9][0-9]* records have been published"

# While it waits for input, too; and it begins only when there is a reader.
start "$SHMRING" pub --while-read ring <pipe 2>err &
pub=$!
exec 3>pipe
until_true has_producers ring 1
start "$SHMRING" sub --from now ring >out.1 &
sub=$!
until_true has_consumers ring 1
echo hello >&3
check "its reader gets what comes" until_true grep -q hello out.1
kill "$sub"
ended "$sub" 143 "the reader goes"
ended "$pub" 5 "and the publisher, although its input goes on"
says "which it says" "no consumer is left"
exec 3>&-
start "$SHMRING" pub --while-read --raw ring <pipe 2>err &
pub=$!
exec 3>pipe
start "$SHMRING" sub --raw --from now ring >out.1 &
sub=$!
until_true has_consumers ring 1
printf hello >&3
check "the same with --raw" until_true grep -q hello out.1
kill "$sub"
wait "$sub"
ended "$pub" 5 "it ends"
exec 3>&-
expect 3 "nobody comes" "$SHMRING" pub --while-read --timeout 100ms ring many
expect 0 "remove the last ring" "$SHMRING" rm ring

finish
