#!/bin/sh
# SPDX-License-Identifier: MIT
#
# crowd: more publishers and subscribers than a ring has places: they wait for one.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 120
enter

# Sixty short publishers, eight lanes.
pids=
for i in $(seq 1 60); do
	(echo "line $i" | "$SHMRING" pub ring 2>"err.$i") &
	pids="$pids $!"
done
failed=
for pid in $pids; do
	wait "$pid" || failed="$failed $?"
done
check "all publishers end well" test -z "$failed"
expect 0 "read what they published" "$SHMRING" sub --no-follow ring
seq 1 60 | sed 's/^/line /' | sort >want
sort out >got
same "every line is there" want got
expect 0 "remove it" "$SHMRING" rm ring

# All lanes are held by others.
mkfifo pipe
expect 0 "a ring of two lanes" "$SHMRING" create --lanes 2 --unread hold ring
start "$SHMRING" pub ring <pipe &
pub1=$!
start "$SHMRING" pub ring <pipe &
pub2=$!
exec 3>pipe
until_true has_producers ring 2
expect 3 "a third does not wait for ever" "$SHMRING" pub --timeout 100ms ring want
says "and names the processes" "all 2 lanes are taken; process IDs: .*$pub1"
says "the other, too" "$pub2"
expect 3 "--nowait does not wait" "$SHMRING" pub --nowait ring want
start "$SHMRING" pub --verbose ring want 2>err.1 3>&- &
pub3=$!
check "--verbose tells what it waits for" until_true grep -q "no place for 1 s.*$pub1" err.1
exec 3>&-
ended "$pub1" 0 "the first ends"
ended "$pub2" 0 "the second ends"
ended "$pub3" 0 "and the third gets a lane"
start "$SHMRING" pub ring <pipe &
pub1=$!
start "$SHMRING" pub ring <pipe &
pub2=$!
exec 3>pipe
until_true has_producers ring 2
start "$SHMRING" pub --verbose ring want 2>err.2 3>&- &
pub3=$!
check "one more waits" until_true grep -q "no place for 1 s.*$pub2" err.2
kill -INT "$pub3"
ended "$pub3" 130 "a signal ends the wait for a lane"
exec 3>&-
wait "$pub1" "$pub2"
expect 0 "remove that ring" "$SHMRING" rm ring

# The same with places for consumers.
expect 0 "another ring" "$SHMRING" create --unread hold ring
subs=
for i in $(seq 1 64); do
	start "$SHMRING" sub ring >/dev/null &
	subs="$subs $!"
done
check "64 consumers" until_true has_consumers ring 64
expect 3 "one more waits in vain" "$SHMRING" sub --timeout 100ms ring
says "and names the reason" "all 64 places for consumers are taken; process IDs: [0-9]"
start "$SHMRING" sub --verbose --count 1 ring >out.1 2>err.3 &
sub=$!
check "another one waits" until_true grep -q "no place for 1 s.*all 64 places" err.3
# shellcheck disable=SC2086 # these are many
kill $subs
# shellcheck disable=SC2086 # these are many
wait $subs 2>/dev/null
until_true has_consumers ring 1
expect 0 "when they have gone" sh -c 'echo hello | "$0" pub ring' "$SHMRING"
ended "$sub" 0 "it gets its place"
check "and the message" grep -q hello out.1

# A name that is held is waited for, too.
start "$SHMRING" sub --name held ring >out.1 &
holder=$!
until_true has_consumers ring 1
expect 3 "a second one of the name waits in vain" "$SHMRING" sub --timeout 100ms --name held ring
says "and names the holder" "a live process holds the name 'held'; process IDs: $holder"
start "$SHMRING" sub --verbose --name held --count 1 ring >out.2 2>err.4 &
sub=$!
check "a third one tells what it waits for" \
	until_true grep -q "no place for 1 s: a live process holds the name 'held'.*$holder" err.4
start "$SHMRING" sub --verbose --name held ring >out.3 2>err.5 &
sub2=$!
until_true grep -q "no place for" err.5
kill -INT "$sub2"
ended "$sub2" 130 "a signal ends the wait for a name"
kill -TERM "$holder"
ended "$holder" 143 "the holder ends"
expect 0 "a message" sh -c 'echo next | "$0" pub ring' "$SHMRING"
ended "$sub" 0 "the third one has the name"
check "and goes on there" grep -q '^next$' out.2

# A ring that is removed while a command waits in it: the command goes on with the new one.
start "$SHMRING" sub --name held ring >out.1 &
holder=$!
until_true has_consumers ring 1
start "$SHMRING" sub --verbose --name held --count 1 ring >out.2 2>err.6 &
sub=$!
until_true grep -q "no place for" err.6
expect 0 "remove the ring" "$SHMRING" rm ring
expect 0 "make it anew" sh -c 'echo anew | "$0" pub ring' "$SHMRING"
ended "$sub" 0 "the command has found the new one"
check "and its message" grep -q '^anew$' out.2
kill -TERM "$holder"
wait "$holder" 2>/dev/null
expect 0 "remove the last ring" "$SHMRING" rm ring

finish
