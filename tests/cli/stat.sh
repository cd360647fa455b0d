#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stat: create, stat, ls and rm, for people and in JSON.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter
command -v jq >/dev/null || skip_all "jq is not installed"

# json NAME FILTER: holds for what expect ran last wrote
json() {
	check "$1" sh -c 'test -s out && jq -e "$0" out' "$2"
}

expect 0 "ls without a runtime directory" "$SHMRING" ls
check "is empty" test ! -s out
says "says where it looked" "no rings in $work/shmring$"
expect 0 "ls --json without one" "$SHMRING" ls --json
json "is an empty array" '. == []'

expect 0 "create with everything" "$SHMRING" create --lane-size 1M --lanes 3 --align 64 \
	--slow evict --evict-after 250ms --unread hold --wake fence --max-sleep 20ms --mode 0640 full
check "its mode" test "$(stat -c %a shmring/full)" = 640
check "its directory is private" test "$(stat -c %a shmring)" = 700
expect 0 "stat --json" "$SHMRING" stat --json full
json "its shape" '.ring == "full" and .lanes == 3 and .lane_size == 1048576 and
	.alignment == 64 and .max_message == 524288'
json "its policies" '.slow == "evict" and .evict_after_ns == 250000000 and .unread == "hold"
	and .wake == "fence" and .max_sleep_ns == 20000000'
json "nobody is there" '.producers == 0 and .consumers == 0 and .detached == 0 and
	(.lane | length) == 3 and .consumer == [] and .retired == false'
json "it is not ephemeral" '.ephemeral == false'
json "when it was made" '(now - .created_ns / 1000000000) as $age | $age > -5 and $age < 100'
json "its identity" '.uuid | test("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")'
expect 0 "stat for people" "$SHMRING" stat full
check "names the policy for slow consumers" grep -q 'slow .*evict after 250 ms' out
check "says that there are no consumers" grep -q 'no consumers' out
expect 1 "create again" "$SHMRING" create full

expect 0 "create with defaults" "$SHMRING" create plain
expect 0 "its stat" "$SHMRING" stat --json plain
json "the defaults" '.lanes == 8 and .lane_size == 8388608 and .alignment == 8 and
	.slow == "block" and .unread == "hold" and .wake == "auto" and
	.max_sleep_ns == 100000000'
check "only its owner may use it" test "$(stat -c %a shmring/plain)" = 600

seq 1 1000 >some
expect 0 "a thousand messages" "$SHMRING" pub plain some
start "$SHMRING" sub --name reader plain >out.1 &
sub=$!
start "$SHMRING" sub plain >out.2 &
sub2=$!
until_true has_consumers plain 2
until_true cmp some out.1
until_true cmp some out.2
expect 0 "stat of a busy ring" "$SHMRING" stat --json plain
json "the lane" '.lane[0] | .messages == 1000 and .bytes == 2893 and .tenancy == 1 and
	.allocated and .state == "free" and .readable > 2893'
json "the other lanes" '[.lane[1:][] | .allocated] | any | not'
json "the consumers" "[.consumer[] | select(.state == \"active\") | .pid] | sort ==
	([$sub, $sub2] | sort)"
json "the named one" ".consumer[] | select(.name == \"reader\") | .pid == $sub"
json "they have read all" '[.consumer[].lag] == [0, 0]'
expect 0 "the same for people" "$SHMRING" stat plain
check "the reader's line" grep -q "^reader .* active .* $sub " out
check "the unused lanes" grep -q "7 lanes have never been used" out
kill -TERM "$sub" "$sub2"
ended "$sub" 143 "the reader ends"
ended "$sub2" 143 "the other ends"
expect 0 "two more messages" "$SHMRING" pub plain - some
expect 0 "stat afterwards" "$SHMRING" stat --json plain
json "the name is kept" '.consumers == 0 and .detached == 1 and
	.consumer[0].state == "detached" and .consumer[0].lag > 0'

expect 0 "ls" "$SHMRING" ls
check "one line each, and a head" test "$(wc -l <out)" = 3
check "full" grep -q '^full  *0  *0  *0  *3 ' out
check "plain" grep -q '^plain  *0  *0  *1  *8 ' out
expect 0 "ls --json" "$SHMRING" ls --json
json "the same" '[.[] | .ring] == ["full", "plain"] and .[1].detached == 1'
expect 0 "ls of a directory" "$SHMRING" ls shmring .
check "its names are addresses" grep -q '^shmring/full ' out
expect 1 "ls of no directory" "$SHMRING" ls none

# what clients have counted in the ring
expect 0 "a small ring" "$SHMRING" create --lanes 1 --lane-size 64K counted
expect 0 "its stat" "$SHMRING" stat counted
check "nothing has happened" sh -c '! grep -E "^  (full|slept|evicted|lost) " out'
expect 0 "in JSON" "$SHMRING" stat --json counted
json "nothing either" '.counts | length == 9 and all(. == 0)'
seq 1 100000 >noise.in
start "$SHMRING" pub counted noise.in >out.3 2>&1 &
pub=$!

# lane_of RING LANE FILTER: holds for that lane
lane_of() {
	"$SHMRING" stat --json "$1" | jq -e ".lane[$2] | $3" >/dev/null
}
# lane_count FILTER: holds for the first lane
lane_count() {
	"$SHMRING" stat --json counted | jq -e ".lane[0] | $1" >/dev/null
}
until_true lane_count '.full_waits > 0 and .full_wait_ns > 0 and .sleeps > 0'
expect 0 "stat while pub waits" "$SHMRING" stat counted
check "says so" grep -E -q '^  full      [0-9]+ times?, producers have waited ' out
check "and how it waits" grep -E -q '^  slept     producers [0-9]+ times, consumers 0 times$' out
kill -KILL "$pub"
ended "$pub" 137 "pub is killed"
expect 0 "a reader" "$SHMRING" sub --no-follow counted
expect 0 "stat afterwards" "$SHMRING" stat --json counted
json "the numbers stay" '.counts.full_waits == .lane[0].full_waits and .counts.full_waits > 0 and
	.counts.full_wait_ns == .lane[0].full_wait_ns and
	.counts.producer_sleeps == .lane[0].sleeps and .counts.lost == 0 and .counts.evictions == 0'
# Any number may stand there: all counts of lane 0 (at 458752 + 1280) and of consumer 0
# (at 65536 + 9280) are as large as can be.
for at in 460032 74816; do
	head -c 40 /dev/zero | tr '\0' '\377' |
		dd of=shmring/counted bs=1 seek=$at conv=notrunc 2>/dev/null
done
expect 0 "stat of the largest numbers" "$SHMRING" stat --json counted
json "they are what they are" '.counts.full_waits > 18e18 and .counts.lost_bytes > 18e18 and
	([.. | numbers | select(. < 0)] | length) == 0'
expect 0 "for people" "$SHMRING" stat counted
check "all lines are there" sh -c 'test "$(grep -E -c "^  (full|slept|evicted|lost) " out)" = 4'
check "they fit into 80 columns" sh -c '! grep -E ".{81}" out'
expect 0 "rm" "$SHMRING" rm counted

# bytes that are no text
printf 'tab\t"quote" \303\244\0no text: \377' | "$SHMRING" pub --null full
expect 0 "sub --json" "$SHMRING" sub --json --no-follow full
check "two objects" test "$(jq -s length out)" = 2
check "text" jq -s -e '.[0] | .data == "tab\t\"quote\" ä" and .length == 14 and .seq == 0 and
	.producer == 0 and has("lost") == false' out
check "no text" jq -s -e '.[1] | has("data") == false and .length == 10 and .seq == 1 and
	.data_base64 == "bm8gdGV4dDog/w=="' out
check "any bytes" sh -c 'head -c 100000 /dev/urandom >noise &&
	"$0" pub --blocks 999 plain noise && "$0" forget plain reader &&
	"$0" sub --json --no-follow plain |
		jq -r "select(.length == 999 or .seq > 2000) | .data_base64" | base64 -d -i >noise.out' "$SHMRING"

expect 0 "stat of a path" "$SHMRING" stat --json ./shmring/plain
json "is what was given" '.ring == "./shmring/plain"'
expect 0 "a name that is no text" "$SHMRING" create "$(printf 'a\377b')"
expect 0 "is listed" "$SHMRING" ls --json
json "in base64" '.[0].ring_base64 == "Yf9i"'
expect 0 "a name for a terminal" "$SHMRING" create "$(printf 'a\033[31mb')"
expect 0 "is listed, too" "$SHMRING" ls
check "without its escape" grep -q '^a?\[31mb ' out

# A member of the ring may write any number there: it is shown as what it is.
# The status word of lane 7 lies at 65536 + 64 + 7 * 8; its upper half counts the owners.
printf '\377\377\377\377' | dd of=shmring/plain bs=1 seek=65660 conv=notrunc 2>/dev/null
expect 0 "stat of a lane with 2^32 - 1 owners" "$SHMRING" stat --json plain
json "no number is negative" '.lane[7].tenancy == 4294967295 and
	([.. | numbers | select(. < 0)] | length) == 0'

# One lane of two is damaged: the rest is shown. The other producer has ended, and the first is there.
expect 0 "a ring to be damaged" "$SHMRING" create --lanes 2 --lane-size 64K damaged
"$SHMRING" pub damaged </dev/zero --blocks 1K >/dev/null 2>&1 &
pub=$!
until_true lane_of damaged 0 '.full_waits > 0'
echo unmistakable | "$SHMRING" pub damaged
kill -TERM "$pub"
wait "$pub" 2>/dev/null
at=$(grep -abo unmistakable shmring/damaged | head -n 1 | cut -d: -f1)
printf '\377\377\377\377\377\377\377\377' |
	dd of=shmring/damaged bs=1 seek=$((at - 8)) conv=notrunc 2>/dev/null
expect 1 "stat of a damaged lane" "$SHMRING" stat damaged
says "names the lane and the damage" "damaged: lane 1 cannot be examined: .*damaged"
check "the other lane is shown" grep -E -q '^   0  (free|dead|active) .* KiB ' out
check "the damaged one has its line" grep -q '^   1  unknown  .*damaged' out
check "consumers are shown" grep -q '^no consumers' out
expect 1 "as JSON" "$SHMRING" stat --json damaged
json "it has the rest and the error" '.lane[0].bytes > 0 and (.lane[1].error | test("damaged"))'
expect 0 "rm" "$SHMRING" rm damaged

# Memory that cannot be mapped cannot be examined: stat names the reason. A sanitizer maps too much.
if [ -z "${SHMRING_SANITIZED:-}" ]; then
	expect 0 "a large ring" "$SHMRING" create --lanes 1 --lane-size 128M large
	expect 0 "with data" sh -c 'head -c 50M /dev/zero | "$0" pub --blocks 64K large' "$SHMRING"
	expect 1 "stat with little address space" sh -c 'ulimit -v 40000 && exec "$0" stat large' \
		"$(command -v "$SHMRING")"
	check "says why resident is unknown" \
		grep -q '^ *resident is unknown: cannot map the ring: .*; allow' out
	says "and that the lane is" "large: lane 0 cannot be examined: cannot map a lane"
	expect 0 "rm" "$SHMRING" rm large
fi

# the widest lines there are
long=a-name-that-is-much-longer-than-the-column-of-names-in-a-table
expect 0 "a long name" "$SHMRING" create --lanes 64 --slow evict --evict-after 999ms \
	--evict-lag 1023K --evict-lag-time 999ms --align 64 $long
seq 1 100 | "$SHMRING" pub $long
expect 0 "of a consumer, too" "$SHMRING" sub --name a-consumer-of-31-letters-in-all \
	--pinned --no-follow $long
expect 0 "another one" "$SHMRING" sub --name short --pinned --count 1 $long
expect 0 "stat" "$SHMRING" stat $long
check "stat fits into 80 columns" sh -c '! grep -E ".{81}" out'
check "the name has a line of its own" grep -q '^a-consumer-of-31-letters-in-all$' out
expect 0 "ls" "$SHMRING" ls
check "ls fits into 80 columns" sh -c '! grep -E ".{81}" out'
check "the name has a line, too" grep -q "^$long\$" out
expect 0 "rm" "$SHMRING" rm $long

expect 1 "rm of several, one missing" "$SHMRING" rm full none plain "$(printf 'a\377b')" \
	"$(printf 'a\033[31mb')"
says "names the one" "none"

finish
