#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-abi: a program that was built with an earlier version of the libraries works with this one.
# The binary interface, as the debug information has it, is held against the reference in abi/: no
# function is gone, and no type that a program sees has changed. What was added is no fault.
#
#   check-abi.sh --renew	makes the reference from the libraries that were built (make abi-reference)
#
# The inline halves are not in it: their headers assert the layout of what they touch.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${abs_builddir:=$PWD}"
. "$abs_srcdir/tests/meta/tap.sh"

libraries="libshmring libshmring-producer libshmring-consumer"
reference=$abs_srcdir/abi

# describe LIBRARY: its interface, without what is a matter of the machine and the directory.
describe() {
	abidw --drop-undefined-syms --exported-interfaces-only --no-show-locs --no-comp-dir-path \
		--no-corpus-path --no-elf-needed --no-architecture \
		--suppressions "$reference/private.ini" "$abs_builddir/.libs/$1.so"
}

harmless='changes summary: 0 Removed\( ([0-9]* filtered out)\)\?, 0 Changed'

# differs OLD NEW: what a program that was built with OLD would notice in NEW.
differs() {
	abidiff --no-added-syms "$1" "$2" >"$dir/differences" 2>&1
	result=$?
	# 4 and 8 are changes, of which additions are some; they leave the summary alone.
	case $result in
	0 | 4 | 8 | 12) grep -qv -e '^$' -e "$harmless" "$dir/differences" || return 0 ;;
	esac
	cat "$dir/differences"
	echo "abidiff ends with status $result."
	echo "If this is meant: tell it in NEWS.md, and run 'make abi-reference'."
}

if [ "${1:-}" = --renew ]; then
	for library in $libraries; do
		describe "$library" >"$abs_builddir/$library.abi" || exit 1
		mv "$abs_builddir/$library.abi" "$reference/$library.abi" || exit 1
	done
	exit 0
fi

for tool in abidw abidiff readelf; do
	command -v $tool >/dev/null || {
		echo "1..0 # SKIP $tool is not installed"
		exit 0
	}
done
readelf -S "$abs_builddir/.libs/libshmring.so" | grep -q '\.debug_info' || {
	echo "1..0 # SKIP the libraries were built without debug information"
	exit 0
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
tap_plan 10

for library in $libraries; do
	describe "$library" >"$dir/$library.abi" 2>"$dir/errors"
	tap_ok "$library.so: its interface is described" "$(cat "$dir/errors")"
	tap_ok "$library.so: it has all that the reference has" \
		"$(differs "$reference/$library.abi" "$dir/$library.abi")"
done

# changed SED-SCRIPT: what differs from a reference that was another one.
changed() {
	sed "$1" "$reference/libshmring-consumer.abi" >"$dir/changed.abi"
	differs "$dir/changed.abi" "$dir/libshmring-consumer.abi"
}
# The checker itself.
tap_caught "a function that is gone" "$(changed 's/shmring_peek_batch/shmring_peek_several/')"
tap_caught "a field that moves" "$(changed \
	"/name='shmring_message'/,/class-decl>/s/offset-in-bits='128'/offset-in-bits='192'/")"
tap_caught "a reference that is cut off" "$(changed '/function-decl/,$d')"
tap_ok "a function that is new is no fault" "$(changed "/elf-symbol name='shmring_message_lost'/d
	/<function-decl name='shmring_message_lost'/,/<\\/function-decl>/d")"
