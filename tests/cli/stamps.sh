#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stamps: the time of publication, and how long messages were under way.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter
command -v jq >/dev/null || skip_all "jq is not installed"

# json NAME FILTER: holds for what expect ran last wrote
json() {
	check "$1" sh -c 'test -s out && jq -s -e "$0" out' "$2"
}

expect 0 "a ring with stamps" "$SHMRING" create --stamps ring
expect 0 "its stat" "$SHMRING" stat --json ring
json "says so" '.[0].stamps == "tsc" or .[0].stamps == "clock"'
json "the longest message is shorter" '.[0].max_message == 4194296'
expect 0 "its stat for people" "$SHMRING" stat ring
check "says so, too" grep -Eq '^  stamps +(tsc|clock)$' out
expect 0 "a ring with clocks" "$SHMRING" create --stamps=clock clock
expect 0 "its stat" "$SHMRING" stat --json clock
json "says that" '.[0].stamps == "clock"'
expect 0 "a ring without" "$SHMRING" create plain
expect 0 "ls of the three" "$SHMRING" ls --json
json "says which have them" '[.[0][] | .stamps] | sort | .[0] == "clock" and .[1] == "none"'
expect 2 "stamps of no kind" "$SHMRING" create --stamps=sundial none
says "are told" 'must be auto, clock or tsc'

# uptime: CLOCK_MONOTONIC and suspended time, in seconds
read -r before _ </proc/uptime
seq 1 1000 >some
expect 0 "a thousand messages" "$SHMRING" pub clock some
read -r after _ </proc/uptime
expect 0 "sub --json" "$SHMRING" sub --json --no-follow --name reader clock
json "each has a stamp, and they are in order" 'length == 1000 and
	([.[].stamp_ns] == ([.[].stamp_ns] | sort)) and .[0].stamp_ns > 0'
json "of the moment when it was published" "(.[0].stamp_ns / 1e9) as \$first |
	(.[-1].stamp_ns / 1e9) as \$last | \$first <= $after + 0.02 and
	\$last - \$first <= $after - $before + 0.02"
expect 0 "without stamps" sh -c 'seq 1 3 | "$0" pub plain && "$0" sub --json --no-follow plain' \
	"$SHMRING"
json "there are none" 'length == 3 and ([.[] | has("stamp_ns")] | any | not)'

# What was published a while ago was under way for so long.
expect 0 "a hundred messages" sh -c 'seq 1 100 | "$0" pub ring' "$SHMRING"
sleep 0.2
for kind in "" --observe "--name reader --from oldest"; do
	# shellcheck disable=SC2086 # one option or none
	expect 0 "how long they took${kind:+, $kind}" "$SHMRING" sub --latency --json \
		--no-follow $kind ring
	json "all of them, for longer than that" '.[0] | .messages == 100 and
		.p50_ns >= 200000000 and .p50_ns <= .p90_ns and .p90_ns <= .p99_ns and
		.p99_ns <= .p999_ns and .p999_ns <= .max_ns and .max_ns < 60000000000'
done
expect 0 "until its producer has left" "$SHMRING" sub --latency --json --drain ring
json "the same" '.[0].messages == 100 and .[0].p50_ns >= 200000000'
expect 0 "the same for people" "$SHMRING" sub --latency --no-follow ring
check "a line for each" test "$(wc -l <out)" = 6
check "and no messages" test -z "$(grep -E '^[0-9]+$' out)"
expect 0 "from now" "$SHMRING" sub --latency --json --no-follow --from now ring
json "there is nothing" '.[0].messages == 0 and .[0].p50_ns == null'
says "and it says why" "use --from oldest"
expect 0 "the name has read on" "$SHMRING" sub --latency --json --no-follow --name reader ring
json "so there is nothing for it" '.[0].messages == 0'
says "which it says" "since the last run under this name"

# While others publish; a signal ends it.
start "$SHMRING" sub --latency --json ring >out &
sub=$!
until_true has_consumers ring 1
expect_out=$(seq 1 5000 | "$SHMRING" pub ring 2>&1) || not_ok "publishing failed" "$expect_out"
caught_up() {
	"$SHMRING" stat --json ring | jq -e '[.consumer[] | select(.name == null) | .lag] == [0]'
}
until_true caught_up
kill -INT "$sub"
ended "$sub" 130 "a signal ends it"
json "and its figures are there" '.[0].messages == 5000 and .[0].max_ns < 60000000000'
expect 3 "in time, or not" "$SHMRING" sub --latency --timeout 50ms ring
check "nothing came" grep -q '^0 messages$' out
says "which is said, and why" "no message was published meanwhile"

expect 1 "a ring without stamps" "$SHMRING" sub --latency plain
says "how to make one" "shmring create --stamps"
expect 1 "no ring" "$SHMRING" sub --latency nowhere
check "none was made" test ! -e shmring/nowhere
expect 2 "the messages, too" "$SHMRING" sub --latency --raw ring
says "cannot be had" "only --json goes with it"

expect 0 "remove them" "$SHMRING" rm ring clock plain
finish
