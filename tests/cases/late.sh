#!/bin/sh
# SPDX-License-Identifier: MIT
#
# late: a reader that comes late gets every message, or learns how many are gone.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

count=1000000

# The number of messages that standard error says are gone; 0 if it says nothing.
gone() {
	sed -n 's/^.*: late: \([0-9]*\) messages (.*) are gone:.*/\1/p' "$1" | grep . || echo 0
}

# whole NAME: what came and what is gone is all that was published, the last of it came.
whole() {
	came=$(wc -l <out)
	if [ $((came + $(gone err))) = $count ] && [ "$(tail -n 1 out)" = $count ]; then
		ok "$1"
	else
		not_ok "$1" "$came came, $(gone err) are gone of $count; the last one is $(tail -n 1 out)
$(head -c 500 err)"
	fi
}

seq 1 $count >numbers

# a ring that overwrites: the reader comes when the writer has gone
for how in "" --observe "--from oldest" "--name reader"; do
	expect 0 "make a ring that overwrites" "$SHMRING" create --unread overwrite late
	expect 0 "publish more than it holds" "$SHMRING" pub late numbers
	# shellcheck disable=SC2086 # words
	expect 0 "read what is left${how:+, $how}" "$SHMRING" sub --no-follow $how late
	whole "what came and what is gone make the whole${how:+, $how}"
	case $(gone err) in
	0) not_ok "something is gone${how:+, $how}" ;;
	*) ok "something is gone${how:+, $how}" ;;
	esac
	check "and no limit is blamed for it${how:+, $how}" sh -c '! grep -q limit err'
	[ "$how" = "--name reader" ] || expect 0 "remove it" "$SHMRING" rm late
done

# a name that goes on where it stopped has missed nothing meanwhile
expect 0 "come again under the name" "$SHMRING" sub --no-follow --name reader late
check "no loss is reported again" test ! -s err
expect 0 "remove the ring" "$SHMRING" rm late

# what is gone is the sum over all producers, in messages and in bytes: each message has one byte
expect 0 "make a small ring that overwrites" "$SHMRING" create --lane-size 64K --unread overwrite late
mkfifo pipe
yes x | head -n 4200 >bytes
start "$SHMRING" pub late <pipe &
pub=$!
exec 3>pipe
until_true has_producers late 1
expect 0 "publish beside another producer" "$SHMRING" pub late bytes
cat bytes >&3
exec 3>&-
ended "$pub" 0 "which publishes as much"
expect 0 "read what both have left" "$SHMRING" sub --no-follow late
check "what came and what is gone is from both" test $(($(wc -l <out) + $(gone err))) = 8400
check "something of each is gone" test "$(gone err)" -gt 0
bytes_gone=$(sed -n 's/^.* messages (\([0-9.]*\) KiB) are gone:.*/\1/p' err)
check "and as many bytes" awk -v size="$bytes_gone" -v messages="$(gone err)" \
	'BEGIN { off = size * 1024 - messages; exit !(off > -8 && off < 8) }'
expect 0 "remove the small ring" "$SHMRING" rm late

# by default the writer waits for the reader
expect 0 "make a ring" "$SHMRING" create late
start "$SHMRING" pub late numbers &
pub=$!
is_full() {
	"$SHMRING" stat late | grep -q ' waiting '
}
check "the writer waits for a reader" until_true is_full
expect 0 "read it" "$SHMRING" sub --drain late
ended "$pub" 0 "the writer has published all"
same "every message came" numbers out
check "no word of a loss" test ! -s err
expect 0 "remove the ring that held" "$SHMRING" rm late

# a limit of lag in bytes: what lies further back is gone for a new consumer
expect 0 "make a ring with a limit of lag" "$SHMRING" create --lane-size 64K --evict-lag 8K late
seq 1 3000 >some
expect 0 "publish less than it holds" "$SHMRING" pub late some
for how in "" "--max-lag 4K" "--pinned --max-lag 4K"; do
	# shellcheck disable=SC2086 # words
	expect 0 "come late${how:+, $how}" "$SHMRING" sub --no-follow $how late
	check "what came and what is gone make the whole${how:+, $how}" \
		test $(($(wc -l <out) + $(gone err))) = 3000
	check "the limit is named${how:+, $how}" grep -q "than its limit of lag" err
done
for how in --pinned --observe; do
	expect 0 "no limit holds for $how" "$SHMRING" sub --no-follow $how late
	same "every message came, $how" some out
done
expect 0 "remove the ring with the limit" "$SHMRING" rm late

# the writer has gone, and the limit reaches back to all messages; so does one of a whole lane
seq 1 1500 >some
for limit in 32K 64K; do
	expect 0 "make a ring with a limit of $limit" \
		"$SHMRING" create --lane-size 64K --evict-lag $limit late
	expect 0 "publish less than $limit" "$SHMRING" pub late some
	expect 0 "come late, $limit" "$SHMRING" sub --no-follow late
	same "every message came, $limit" some out
	check "no word of a loss, $limit" test ! -s err
	expect 0 "remove the ring with a limit of $limit" "$SHMRING" rm late
done

finish
