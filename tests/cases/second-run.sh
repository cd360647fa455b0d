#!/bin/sh
# SPDX-License-Identifier: MIT
#
# second-run: the same recipe again and again, without 'shmring rm' in between: whichever side is
# first, and after runs that were killed. And what fails leaves no ring behind.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 120
enter

# run INPUT ORDER: the copy recipe of the README; ORDER says which side is started first.
run() {
	case $2 in
	pub)
		start "$SHMRING" pub --fresh --blocks 64K --wait-consumers 2 copies <"$1" &
		pub=$!
		until_true has_producers copies 1
		;;
	esac
	start "$SHMRING" sub --fresh --raw --drain copies >first &
	sub1=$!
	start "$SHMRING" sub --fresh --raw --drain copies >second &
	sub2=$!
	case $2 in
	sub) until_true has_consumers copies 2 ;;
	esac
	case $2 in
	sub | together)
		start "$SHMRING" pub --fresh --blocks 64K --wait-consumers 2 copies <"$1" &
		pub=$!
		;;
	esac
}

# meets INPUT ORDER: such a run copies its input, and nothing else.
meets() {
	run "$1" "$2"
	ended "$pub" 0 "$1, $2 first: the publisher ends"
	ended "$sub1" 0 "and one reader"
	ended "$sub2" 0 "and the other"
	same "the one has the input" "$1" first
	same "the other has it, too" "$1" second
}

head -c 300000 /dev/urandom >one
head -c 20000000 /dev/urandom >two
: >none
for order in pub sub together; do
	meets one "$order"
	meets two "$order"
	meets none "$order"
done
for _ in 1 2 3 4 5 6 7 8; do
	meets one together
done

# A run that is killed in the midst leaves its messages, and a kept place.
for _ in 1 2 3; do
	run two together
	start "$SHMRING" sub --name kept copies >third &
	sub3=$!
	until_true test -s third
	kill -KILL "$pub" "$sub1" "$sub2" "$sub3"
	wait "$pub" "$sub1" "$sub2" "$sub3" 2>/dev/null
	meets one together
done
expect 0 "the last ring is there" "$SHMRING" rm copies

# --fresh keeps the shape of a ring, and a ring that no process has used yet.
expect 0 "a ring of its own shape" "$SHMRING" create --lane-size 128K --lanes 3 --stamps --unread hold shaped
uuid() {
	"$SHMRING" stat --json shaped | jq -r .uuid
}
before=$(uuid)
expect 0 "is fresh" sh -c 'seq 1 3 | "$0" pub --fresh shaped' "$SHMRING"
check "and not made anew" test "$before" = "$(uuid)"
expect 0 "after that it is not" sh -c 'seq 4 6 | "$0" pub --fresh shaped' "$SHMRING"
check "and made anew" test "$before" != "$(uuid)"
check "in its shape" sh -c '"$0" stat --json shaped |
	jq -e ".lane_size == 131072 and .lanes == 3 and .stamps != \"none\" and .unread == \"hold\""' \
	"$SHMRING"
expect 0 "read it" "$SHMRING" sub --no-follow shaped
seq 4 6 >want
same "without the messages from before" want out

expect 0 "a ring with every policy" "$SHMRING" create --slow evict --evict-after 3s --evict-lag 32K \
	--evict-lag-time 2s --wake fence --max-sleep 50ms --unread overwrite --align 64 --mode 640 policies
shape() {
	"$SHMRING" stat --json policies | jq 'del(.uuid, .created_ns, .allocated, .resident, .lane, .consumer)'
	stat -c %a shmring/policies
}
expect 0 "is used" sh -c 'seq 1 3 | "$0" pub policies' "$SHMRING"
shape >want
expect 0 "and made anew" sh -c 'seq 4 6 | "$0" pub --fresh policies' "$SHMRING"
shape >out
same "with all of them" want out
expect 0 "remove it" "$SHMRING" rm policies

# No command removes a ring to which other processes are attached.
start "$SHMRING" sub shaped >out.1 &
sub=$!
until_true has_consumers shaped 1
expect 0 "another publisher" sh -c 'seq 7 9 | "$0" pub --fresh shaped' "$SHMRING"
until_true sh -c 'test "$(wc -l <out.1)" = 6'
seq 4 9 >want
same "meets the reader that is there" want out.1
kill "$sub"
ended "$sub" 143 "which ends"
expect 0 "remove it" "$SHMRING" rm shaped

# Commands that fail make no ring, or take theirs away.
expect 2 "a wrong name" "$SHMRING" sub --name 'a b' x
expect 1 "no such input" "$SHMRING" pub x /nonexistent
expect 1 "no such second input" "$SHMRING" pub x one /nonexistent
expect 1 "an input that is a directory" "$SHMRING" pub x .
expect 1 "blocks that do not fit" "$SHMRING" pub --blocks 8M x one
expect 1 "standard input that is closed" sh -c 'exec "$0" pub x <&-' "$SHMRING"
expect 1 "standard input that is a directory" sh -c 'exec "$0" pub x <.' "$SHMRING"
expect 2 "--fresh with the broker" "$SHMRING" pub --fresh broker:x
check "left no ring behind" test -z "$(ls shmring)"
expect 0 "a ring that is there" "$SHMRING" create x
expect 1 "is not taken away" "$SHMRING" pub --blocks 8M x one
expect 0 "by such a command" "$SHMRING" rm x

finish
