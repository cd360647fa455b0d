#!/bin/sh
# SPDX-License-Identifier: MIT
# The bench works: rows come out for a limit, a reference, a peer and shmring itself. How fast
# they are is no matter here. Three rounds, for one may fall into a moment in which a process did not
# run at all.

# shellcheck disable=SC2154 # the environment of the tests has it
bench=$abs_builddir/bench/shmring-bench

if [ "$(nproc)" -lt 2 ]; then
	echo "1..0 # SKIP the bench takes two processors"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

number=0
measure() { # what, pattern
	number=$((number + 1))
	if "$bench" --quick --rounds=3 --only="$2" --json="$dir/out.json" >"$dir/out" 2>&1 &&
	   [ "$(grep -c '"value": [1-9]' "$dir/out.json")" -ge 1 ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		sed 's/^/# /' "$dir/out"
	fi
}

echo "1..8"
measure "a limit" limit/two-lines
measure "a reference ring" stream/slotseq/64/256K
measure "a peer" trip/pipe/64/256K
measure "streaming through shmring" stream/shmring/64/256K
measure "a round trip through shmring" trip/shmring/64/256K
measure "two producers" stream/two-producers/64/256K

# Another build beside this one; here it is the same.
number=$((number + 1))
if "$bench" --quick --rounds=3 --only=stream/shmring/64/256K --base="$bench" >"$dir/out" 2>&1 &&
   grep -q '^stream/shmring/64/256K .*(.*-.*)' "$dir/out"; then
	echo "ok $number - another build in turn with this one"
else
	echo "not ok $number - another build in turn with this one"
	sed 's/^/# /' "$dir/out"
fi

# Sleeping and waking: every row of every table.
number=$((number + 1))
if "$abs_builddir/bench/shmring-doorbell-bench" --quick >"$dir/out" 2>&1 &&
   [ "$(grep -c receivers "$dir/out")" -ge 34 ]; then
	echo "ok $number - sleeping and waking"
else
	echo "not ok $number - sleeping and waking"
	sed 's/^/# /' "$dir/out"
fi
