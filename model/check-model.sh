#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-model: every model, and every variant of it that must be wrong.
#
#   check-model.sh          what `make check` runs: below two minutes of one processor
#   check-model.sh full     larger runs of the same models, for `make check-model-full`
#
# A sound model passes when the search was exhaustive and found nothing; a negative variant passes
# when the search found an error. Anything else fails: a model that does not compile, a search
# that was cut short by depth or memory, a run that ends without a verdict.

set -u
models=${abs_srcdir:?}/model
memory=2000 # MB, for one search
depth=20000
number=0
full=${1-}
limit=300
compress= # how states are stored
optimise=-O0
[ "$full" != full ] || limit=7200 memory=16000 depth=100000 compress=-DCOLLAPSE optimise=-O2

if [ -n "${SHMRING_SANITIZED-}" ]; then
	echo "1..0 # SKIP the models are the same in every build, and are checked without sanitizers"
	exit 0
fi

for tool in spin gcc; do
	command -v "$tool" >/dev/null || {
		echo "1..0 # SKIP $tool is not installed"
		exit 0
	}
done
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# In the short form the compiler takes longer than most searches, so it does not optimise: to do so
# costs more than the search gains. clang is the faster one then; its code is a little slower.
compiler=gcc
[ "$full" = full ] || ! command -v clang >/dev/null || compiler=clang

# search MODEL FLAG...: build the verifier and run it; the verdict is in $dir/out.
search() {
	model=$1
	shift
	rm -f "$dir"/*
	(
		cd "$dir" &&
			spin -a "$@" "$models/$model.pml" &&
			$compiler -w $optimise -DSAFETY -DNOCLAIM $compress -DMEMLIM=$memory -o pan pan.c &&
			timeout "$limit" ./pan -m$depth -w"$table" "$(pan_flags "$model")"
	) >"$dir/out" 2>&1
}

# exhaustive: did the search see every state?
exhaustive() {
	grep -q '^State-vector' "$dir/out" &&
		! grep -qE 'max search depth too small|Search not completed|-DMEMLIM|VECTORSZ' "$dir/out"
}

# Where all but one stop for good, being stuck is no error; -n, elsewhere: no list of dead code.
pan_flags() {
	case $1 in
	places) printf %s -E ;;
	*) printf %s -n ;;
	esac
}

errors() {
	sed -n 's/^State-vector.*errors: \([0-9]*\).*/\1/p' "$dir/out"
}

figures() {
	awk '/^State-vector/ { sub(",", "", $6); depth = $6 }
		/states, stored/ { states = $1 }
		/elapsed time/ { time = $4 }
		END { printf "# %s states, depth %s, %s s\n", states, depth, time }' "$dir/out"
}

report() { # verdict, what
	number=$((number + 1))
	echo "$1 $number - $2"
	if [ "$1" = ok ]; then
		figures
	else
		sed 's/^/# /' "$dir/out" | head -n 40
	fi
}

# sound MODEL FLAG...: nothing is wrong in any state.
sound() {
	table=24
	search "$@"
	what=$(echo "$*" | sed 's/-D//g')
	if exhaustive && [ "$(errors)" = 0 ]; then
		report ok "$what"
	else
		report "not ok" "$what"
	fi
}

# wrong VARIANT MODEL FLAG...: something is, and the search finds it.
wrong() {
	variant=$1
	shift
	table=22 # 2^22 buckets: most end at once, and each bucket has to be cleared
	search "$@" -D"$variant"
	what="$(echo "$*" | sed 's/-D//g') with $variant is found wrong"
	if grep -qE '^pan:1: (assertion violated|invalid end state)' "$dir/out" && [ "$(errors)" = 1 ]; then
		report ok "$what"
	else
		report "not ok" "$what"
	fi
}

# shellcheck source=/dev/null
if [ "$full" = full ]; then
	. "$models/full.sh"
else
	. "$models/quick.sh"
fi
echo "1..$number"
