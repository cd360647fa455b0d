#!/bin/sh
# SPDX-License-Identifier: MIT
#
# limits: records that are too long or cut off, and readers that are too slow.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

expect 0 "the smallest ring" "$SHMRING" create --lane-size 64K ring
longest=$("$SHMRING" stat --json ring | sed -n 's/^  "max_message": \([0-9]*\),*$/\1/p')

# line LENGTH
line() {
	head -c "$1" /dev/zero | tr '\0' x
	echo
}

{ echo first; line "$longest"; echo last; } >fits
{ echo first; echo second; line $((longest + 1)); echo last; } >exceeds
expect 0 "a line as long as it may be" "$SHMRING" pub ring fits
expect 0 "is read" "$SHMRING" sub --no-follow ring
same "as it was" fits out

expect 1 "a line that is too long" "$SHMRING" pub ring exceeds
says "it is named" "exceeds: line 3 is longer than this ring takes: $longest bytes"
says "with the remedy" "a larger --lane-size"
says "what was published is counted" "2 records have been published"
expect 0 "what came before it is there" "$SHMRING" sub --observe --no-follow ring
{ cat fits; echo first; echo second; } >want
same "and nothing of the long one" want out

tr x '\0' <exceeds | tr '\0\n' 'x\0' >exceeds.null
expect 1 "a NUL-terminated record that is too long" "$SHMRING" pub --null ring exceeds.null
says "it is named, too" "exceeds.null: record 3"
head -c 300000 /dev/zero | tr '\0' x >endless
expect 1 "a line without an end" "$SHMRING" pub ring endless
says "it is the first" "endless: line 1 is longer"
printf '\1\0\0\0a\377\377\377\377' >huge
expect 1 "a frame of four billion bytes" "$SHMRING" pub --frames ring huge
says "it is no length" "huge: the first 4 bytes of frame 2 (ff ff ff ff) are not a plausible length: 4294967295 bytes"
says "the form is named" "4 bytes, little endian"
expect 1 "text that is taken for frames" "$SHMRING" pub --frames ring exceeds
says "it is not the lane that is too small" \
	"exceeds: the first 4 bytes of frame 1 (66 69 72 73) are not a plausible length"
check "and nothing says so" sh -c '! grep lane-size err'
printf '\1\0\0\0a\0\0\1\0' >long
expect 1 "a frame that is too long" "$SHMRING" pub --frames ring long
says "its length is named" "long: frame 2 has 65536 bytes, and this ring takes $longest; .* --lane-size"
printf '\1\0\0\0a\5\0\0\0abc' >cut-off
expect 1 "a frame that is cut off" "$SHMRING" pub --frames ring cut-off
says "the cut is named" "cut-off: the input ends inside frame 2, whose length is 5 bytes"
printf '\1\0\0\0a\5\0' >cut-off
expect 1 "the head of a frame that is cut off" "$SHMRING" pub --frames ring cut-off
says "that cut is named, too" "cut-off: the input ends inside frame 2, in the 4 bytes"
expect 1 "blocks that are too long" "$SHMRING" pub --blocks 1M ring fits
says "with the limit" "at most $longest bytes"
expect 1 "an input that is not there" "$SHMRING" pub ring missing
says "it is named by its name" "missing: No such file"
expect 1 "an input that is a directory" "$SHMRING" pub ring .
expect 0 "remove it" "$SHMRING" rm ring

# A ring that overwrites: with no consumer the oldest are overwritten; a consumer that comes then begins with the oldest there is.
seq 1 100000 >many
expect 0 "a small ring" "$SHMRING" create --lane-size 64K --unread overwrite ring
expect 0 "publish more than it takes" "$SHMRING" pub ring many
expect 0 "read what is left" "$SHMRING" sub --no-follow ring
tail -n "$(wc -l <out)" many >want
same "it is the newest, without a gap" want out
check "and not everything" test "$(wc -l <out)" -lt 100000

# An observer that is too slow learns what it missed: received and missed messages add up to all.
mkfifo pipe
start "$SHMRING" sub --observe --no-follow --json ring >pipe 2>err.1 &
sub=$!
exec 3<pipe
read -r line <&3
expect 0 "publish under a slow observer" "$SHMRING" pub ring many
{ printf '%s\n' "$line"; cat <&3; } >out
exec 3<&-
ended "$sub" 4 "it ends with status 4"
check "it reports a gap" grep -q '"lost":[1-9]' out
check "its gaps and its messages add up" awk '
	{
		gsub(/[{}"]/, ""); n = split($0, part, /[:,]/)
		for (i = 1; i < n; i++) {
			if (part[i] == "seq") seq = part[i + 1]
			if (part[i] == "lost") lost = part[i + 1]
		}
		if (NR > 1 && seq != last + 1 + lost) { print "after", last, "came", seq; exit 1 }
		last = seq; lost = 0
	}' out
expect 0 "remove the small ring" "$SHMRING" rm ring

# One that would rather be evicted than hold the publisher back, in a ring that never evicts. --pinned
# is about the ring's policy.
expect 0 "a ring that blocks" "$SHMRING" create --lane-size 64K --unread overwrite ring
start "$SHMRING" sub --pinned --max-lag 16K --max-lag 1h --drain ring >out.1 2>err.1 &
sub=$!
until_true has_consumers ring 1
kill -STOP "$sub"
expect 0 "its publisher does not wait" "$SHMRING" pub ring many
kill -CONT "$sub"
ended "$sub" 4 "the one with a limit ends with status 4"
lost=$(sed -n 's/.*: \([0-9]*\) messages .* have been lost$/\1/p' err.1)
check "what it lost and what it got is all" test $((lost + $(wc -l <out.1))) = 100000
expect 0 "remove the ring that blocks" "$SHMRING" rm ring

# A lossless one that is too slow for a ring that evicts.
expect 0 "a ring that evicts" "$SHMRING" create --lane-size 64K --unread overwrite \
	--evict-after 50ms ring
start "$SHMRING" sub --drain ring >out.1 2>err.1 &
sub=$!
until_true has_consumers ring 1
kill -STOP "$sub"
expect 0 "its publisher goes on" "$SHMRING" pub ring many
kill -CONT "$sub"
ended "$sub" 4 "the evicted one ends with status 4"
mv err.1 err
says "and tells what it lost" "[1-9][0-9]* messages .* have been lost"
lost=$(sed -n 's/.*: \([0-9]*\) messages .* have been lost$/\1/p' err)
check "what it lost and what it got is all" test $((lost + $(wc -l <out.1))) = 100000
start "$SHMRING" sub --pinned ring >out.1 &
sub=$!
until_true has_consumers ring 1
# a consumer that is stopped while it joins is evicted, too
until_true sh -c '"$0" stat --json ring | jq -e "[.consumer[].state] == [\"active\"]"' "$SHMRING"
kill -STOP "$sub"
expect 3 "a pinned one is waited for" "$SHMRING" pub --timeout 300ms ring many
kill -CONT "$sub"
kill -TERM "$sub"
ended "$sub" 143 "and ends when told to"
expect 0 "remove the ring that evicts" "$SHMRING" rm ring

# 65 producers, on a ring of two lanes: three
expect 0 "a ring of two lanes" "$SHMRING" create --lanes 2 ring
start "$SHMRING" pub ring <pipe &
pub1=$!
start "$SHMRING" pub ring <pipe &
pub2=$!
exec 3>pipe
until_true has_producers ring 2
expect 3 "a third producer finds no lane" "$SHMRING" pub --timeout 50ms ring many
exec 3>&-
ended "$pub1" 0 "the first ends"
ended "$pub2" 0 "the second ends"
expect 0 "remove the ring of two lanes" "$SHMRING" rm ring

# no locked memory at all
no_locks() {
	# shellcheck disable=SC3045 # the shells of Debian have it
	(ulimit -l 0 && "$SHMRING" pub ring many && "$SHMRING" sub --no-follow ring) >out
}
check "without locked memory" no_locks
same "it works as well" many out
expect 0 "remove that ring" "$SHMRING" rm ring

finish
