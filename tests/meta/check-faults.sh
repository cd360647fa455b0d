#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-faults: what is built for use has no fault points: no symbol of theirs, no list, no word of
# the environment variable. In a build with --enable-fault-points it has all three.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${abs_builddir:=$PWD}"
: "${CC:=cc}" "${NM:=nm}" "${SHMRING_FAULT_POINTS:=}"
. "$abs_srcdir/tests/meta/tap.sh"

# traces FILE: what fault points leave in a library or program.
traces() {
	# shellcheck disable=SC2086 # NM may have arguments
	$NM -a "$1" 2>/dev/null | grep -e "[ _]shmr_fault" -e " fault_" | sed "s|^|${1##*/}: |"
	grep -a -q -e SHMRING_FAULT -e shmr_faults "$1" && echo "${1##*/}: has the words"
}

# expect FILE
expect() {
	if [ -z "$SHMRING_FAULT_POINTS" ]; then
		tap_ok "${1##*/} has no fault points" "$(traces "$1")"
	else
		tap_caught "${1##*/} has fault points" "$(traces "$1")"
	fi
}

tap_plan 6

for library in libshmring libshmring-producer libshmring-consumer; do
	expect "$abs_builddir/.libs/$library.so"
done
tap_ok "shmring(1) has none of its own" "$(traces "$abs_builddir/clients/shmring")"
tap_ok "the installed headers know nothing of them" \
	"$(grep -n -e FAULT -e "[^e]fault" "$abs_srcdir"/include/shmring/*-inline.h)"

# The checker itself.
tap_caught "the test's own libraries" "$(traces "$abs_builddir/tests/crash/faults")"
