#!/bin/sh
# SPDX-License-Identifier: MIT
#
# no-follow: sub --no-follow on a ring that is never empty ends, with what was there at its start.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

# A stream that does not end, and a reader that keeps it going; both are killed at the end.
expect 0 "a ring" "$SHMRING" create --lane-size 1M --stamps --unread hold busy
start "$SHMRING" sub busy >/dev/null &
reader=$!
until_true has_consumers busy 1
mkfifo pipe
start seq 1 1000000000 >pipe &
source=$!
start "$SHMRING" pub busy <pipe &
pub=$!
start "$SHMRING" pub busy <pipe &
pub2=$!
until_true has_producers busy 2
expect 0 "messages come" "$SHMRING" sub --count 1000 busy

expect 0 "a consumer ends" "$SHMRING" sub --no-follow busy
check "with messages" test -s out
"$SHMRING" sub --observe --no-follow busy >out 2>err
status=$?
check "an observer ends" test "$status" = 0 -o "$status" = 4
check "with messages, too" test -s out
expect 0 "a measurement ends" "$SHMRING" sub --latency --json --no-follow busy
check "with figures" jq -e '.messages > 0 and .p50_ns != null' out
expect 0 "from now on there is nothing" "$SHMRING" sub --from now --no-follow busy
check "not a byte" test ! -s out

# A name gets each message in one of its runs.
rm -f out.name
for run in 1 2 3; do
	"$SHMRING" sub --json --name archive --no-follow busy >out 2>err
	check "run $run of a name ends" test "$?" = 0
	cat out >>out.name
done
check "and each goes on where the last one ended" jq -e -s '
	group_by(.producer) | map([.[].seq] | . == [range(.[0]; .[0] + length)]) | all' out.name
expect 0 "forget it" "$SHMRING" forget busy archive

kill "$pub" "$pub2" "$source" "$reader"
wait "$pub" "$pub2" "$source" "$reader" 2>/dev/null
expect 0 "remove the ring" "$SHMRING" rm busy
finish
