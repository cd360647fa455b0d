#!/bin/sh
# SPDX-License-Identifier: MIT
#
# progress: long work shows itself on a terminal, and nowhere else.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter
command -v script >/dev/null || skip_all "script(1) is not installed"

# slowly: input that takes longer than a second
slowly() {
	echo first
	sleep 1.2
	echo second
	sleep 0.3
	echo third
}

slowly | "$SHMRING" pub ring 2>err
check "no progress without a terminal" test ! -s err

slowly | script -q -e -c "cat | '$SHMRING' pub ring" shown >/dev/null
check "progress on a terminal" grep -q '[0-9] records*  [0-9]* B  .*/s' shown
last=$(cat shown)
check "the line is cleared at the end" sh -c 'case "${0##*record}" in *"$1"*) ;; *) exit 1 ;; esac' \
	"$last" "$(printf '\r\033[K')"

echo quick >quick
script -q -e -c "'$SHMRING' pub ring quick" shown >/dev/null </dev/null
check "quick work shows none" sh -c '! grep -q record shown'

script -q -c "'$SHMRING' sub --timeout 1.3s ring >out" shown >/dev/null </dev/null
check "sub shows it, too" grep -q 'records .* waiting for messages' shown
script -q -c "'$SHMRING' sub --timeout 1.3s ring" shown >/dev/null </dev/null
check "but not among its output" sh -c '! grep -q "records  " shown'

# typed: a line is written to the terminal at once, the next after a second and a half
typed() {
	sleep 0.2
	echo first
	sleep 1.5
	echo second
	sleep 0.3
	printf '\004'
}
typed | script -q -e -c "'$SHMRING' pub ring" shown >/dev/null
check "none is written into what is typed" sh -c '! grep -q record shown'
expect 0 "what was typed" "$SHMRING" sub --no-follow ring
check "was published" grep -q '^second$' out

echo one | "$SHMRING" pub single
script -q -c "'$SHMRING' sub --timeout 1.3s single >out" shown >/dev/null </dev/null
check "one record is one" grep -q '1 record  3 B ' shown
script -q -c "stty cols 20; '$SHMRING' sub --timeout 1.3s single >out" shown >/dev/null </dev/null
tr '\r' '\n' <shown | grep 'record ' | sed 's/^.*\[K//' >lines
check "the line is cut at the width of the terminal" sh -c \
	'grep -q "^1 record  3 B" lines && ! grep -E ".{20}" lines'
expect 0 "remove it" "$SHMRING" rm ring single

finish
