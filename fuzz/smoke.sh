#!/bin/sh
# SPDX-License-Identifier: MIT
#
# smoke: the golden files hold, every input of the corpus is replayed, and the fuzzers run for a
# few seconds from there. FUZZ_SECONDS sets how many; what they find goes to fuzz/found of the build.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}" "${abs_builddir:=$PWD}"
. "$abs_srcdir/tests/meta/tap.sh"

seconds=${FUZZ_SECONDS:-10}
corpus=$abs_srcdir/fuzz/corpus
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# run COMMAND...: its output goes to $scratch/log; says what went wrong, or nothing.
run() {
	status=0
	"$@" >"$scratch/log" 2>&1 || status=$?
	[ "$status" = 0 ] || { echo "status $status"; tail -n 40 "$scratch/log"; }
}

# fuzz TARGET [MORE]: libFuzzer, on the corpus of that name, with a scratch directory for what it adds to the corpus.
fuzz() {
	mkdir -p "$scratch/$1" "$abs_builddir/fuzz/found"
	run timeout $((seconds + 120)) "$abs_builddir/fuzz/fuzz-$1" \
		-max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=16384 \
		-seed="${SHMRING_TEST_SEED:-20}" -print_final_stats=1 \
		-artifact_prefix="$abs_builddir/fuzz/found/$1-" \
		"$scratch/$1" ${2:+"$corpus/$2"} "$corpus/$1"
}

tap_plan 7
tap_ok "golden files are what this library makes, and it reads them" \
	"$(run timeout 100 "$abs_builddir/fuzz/golden" check "$corpus/golden")"
for target in attach reader; do
	tap_ok "$target: the corpus is replayed" \
		"$(run timeout 300 "$abs_builddir/fuzz/replay-$target" "$corpus"/golden/* "$corpus/$target"/*)"
done
tap_ok "proto: the corpus is replayed" \
	"$(run timeout 300 "$abs_builddir/fuzz/replay-proto" "$corpus"/proto/*)"
for target in attach proto reader; do
	if [ -x "$abs_builddir/fuzz/fuzz-$target" ]; then
		case $target in
		proto) found=$(fuzz "$target") ;;
		*) found=$(fuzz "$target" golden) ;;
		esac
		grep -h -E '^stat::number_of_executed|cov:' "$scratch/log" | tail -n 2 | sed 's/^/# /'
		tap_ok "$target: fuzzed for $seconds s" "$found"
	else
		tap_ok "$target: fuzzed # SKIP no fuzzer was built: there is no clang with libFuzzer, or the build is sanitized" ""
	fi
done
