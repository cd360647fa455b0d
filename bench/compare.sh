#!/bin/sh
# SPDX-License-Identifier: MIT
#
# compare.sh SOURCE BASE BENCH OPTION...: build the bench of the commit BASE of the repository SOURCE
# in a directory of its own, and let BENCH measure against it.

set -eu
source=$1 base=$2 bench=$3
shift 3

commit=$(git -C "$source" rev-parse --verify "$base^{commit}") || {
	echo "bench-compare: BASE=$base is no commit of $source" >&2
	exit 2
}
dir=$(mktemp -d)
trap 'git -C "$source" worktree remove --force "$dir/source" 2>/dev/null; rm -rf "$dir"' EXIT

echo "bench-compare: building $base ($commit)"
git -C "$source" worktree add --quiet --detach "$dir/source" "$commit"
(
	cd "$dir/source"
	autoreconf -fi
	mkdir build
	cd build
	../configure
	make -j "$(nproc)" bench/shmring-bench
) >"$dir/log" 2>&1 || {
	tail -n 40 "$dir/log" >&2
	echo "bench-compare: $base cannot be built" >&2
	exit 1
}
"$bench" --base="$dir/source/build/bench/shmring-bench" "$@"
