#!/bin/sh
# SPDX-License-Identifier: MIT
#
# names: a named subscriber goes on where the last of its name stopped, was stopped, or was killed.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

# audit FILE COUNT: lines of JSON of one producer; every number from 0 to COUNT - 1 is there in
# order, and after a step back, which is allowed, all of them follow again.
audit() {
	awk -v count="$2" '
		!/^{"seq":[0-9]+,"producer":0,"length":[0-9]+,"data":".*"}$/ { cut++; next }
		{ split($0, part, /[:,]/); seq = part[2] + 0 }
		seq > next_seq { printf "%d follows %d\n", seq, next_seq - 1; bad = 1; exit 1 }
		seq < next_seq { back++ }
		{ next_seq = seq + 1 }
		END {
			if (bad)
				exit 1
			printf "%d lines, %d steps back, %d cut\n", NR, back, cut
			exit next_seq != count || back > 3 || cut > 3
		}' "$1"
}

seq 1 10 >ten
expect 0 "ten messages" "$SHMRING" pub ring ten
expect 0 "a name reads three" "$SHMRING" sub --name one --count 3 ring
check "the first three" test "$(tr '\n' ' ' <out)" = "1 2 3 "
expect 0 "the name goes on" "$SHMRING" sub --name one --count 2 ring
check "the next two" test "$(tr '\n' ' ' <out)" = "4 5 "
expect 0 "the name resumes" "$SHMRING" sub --name one --from resume --count 1 ring
check "the sixth" test "$(cat out)" = 6
expect 0 "another name begins with the oldest" "$SHMRING" sub --name two --no-follow ring
same "it gets all" ten out
expect 0 "a name begins anew" "$SHMRING" sub --name one --from oldest --no-follow ring
same "it gets all again" ten out
expect 0 "a name skips to now" "$SHMRING" sub --name three --from now --no-follow ring
check "there is nothing" test ! -s out
expect 0 "one more" "$SHMRING" pub ring ten
expect 0 "it goes on from there" "$SHMRING" sub --name three --no-follow ring
same "it gets what came since" ten out

expect 1 "an unknown name cannot resume" "$SHMRING" sub --name four --from resume ring
expect 1 "nor on no ring" "$SHMRING" sub --name four --from resume none
check "which is not made" test ! -e "$work/shmring/none"
expect 2 "a wrong name" "$SHMRING" sub --name 'a b' --no-follow ring
expect 2 "a long name" "$SHMRING" sub --name 12345678901234567890123456789012 --no-follow ring

start "$SHMRING" sub --name one ring >out.1 &
sub=$!
until_true has_consumers ring 1
expect 3 "a name has one holder" "$SHMRING" sub --timeout 100ms --name one --no-follow ring
expect 1 "a name in use cannot be forgotten" "$SHMRING" forget ring one
kill -TERM "$sub"
ended "$sub" 143 "the holder ends"
expect 0 "then it can be forgotten" "$SHMRING" forget ring one
expect 1 "but not twice" "$SHMRING" forget ring one
expect 1 "and cannot resume" "$SHMRING" sub --name one --from resume --no-follow ring
expect 0 "the others are forgotten" "$SHMRING" forget ring two
expect 0 "all of them" "$SHMRING" forget ring three
expect 0 "remove it" "$SHMRING" rm ring

# Killed again and again, half way: at least once, in order, nothing missing.
seq 1 400000 >many
expect 0 "a small ring" "$SHMRING" create --lane-size 256K --unread hold ring
start "$SHMRING" pub --wait-consumers 1 ring many &
pub=$!
: >out.all
grown() {
	[ "$(wc -c <out.all)" -gt "$1" ]
}
for i in 1 2 3; do
	size=$(wc -c <out.all)
	start "$SHMRING" sub --json --name phoenix ring >>out.all &
	sub=$!
	check "life $i writes something" until_true grown $((size + 1000000))
	kill -KILL "$sub"
	ended "$sub" 137 "life $i is killed"
	# the next one begins on a line of its own
	[ -z "$(tail -c 1 out.all)" ] || echo >>out.all
done
start "$SHMRING" sub --json --name phoenix --drain ring >>out.all &
sub=$!
ended "$pub" 0 "the publisher was never disturbed"
ended "$sub" 0 "the last life ends by itself"
check "nothing is missing: $(audit out.all 400000 | tail -n 1)" audit out.all 400000
expect 0 "forget it" "$SHMRING" forget ring phoenix
expect 0 "remove its ring" "$SHMRING" rm ring

# A stopped one holds the ring, and is not mistaken for a dead one.
expect 0 "another small ring" "$SHMRING" create --lane-size 64K ring
start "$SHMRING" sub ring >out.1 &
sub=$!
until_true has_consumers ring 1
kill -STOP "$sub"
expect 3 "the publisher waits for a stopped one" "$SHMRING" pub --timeout 300ms ring many
says "it says that the ring was full" "full for 300 ms"
published=$(sed -n 's/.*: \([0-9]*\) records have been published/\1/p' err)
kill -CONT "$sub"
lines_are() {
	[ "$(wc -l <out.1)" = "$1" ]
}
check "which goes on and gets all that was published" until_true lines_are "$published"
kill -TERM "$sub"
ended "$sub" 143 "and ends"
head -n "$published" many >some
same "in order" some out.1
expect 0 "remove that ring" "$SHMRING" rm ring

# A dead consumer without a name holds no producer back.
expect 0 "a third ring" "$SHMRING" create --lane-size 64K --unread overwrite ring
start "$SHMRING" sub ring >out.1 &
sub=$!
until_true has_consumers ring 1
kill -STOP "$sub"
start "$SHMRING" pub ring many &
pub=$!
kill -KILL "$sub"
ended "$sub" 137 "a subscriber without a name is killed"
ended "$pub" 0 "the publisher does not wait for the dead"
expect 0 "remove the third ring" "$SHMRING" rm ring

finish
