#!/bin/sh
# SPDX-License-Identifier: MIT
#
# aarch64: build for that processor in ./aarch64, and run the test programs under qemu-aarch64.
#
# It shows that the code is right for the processor: its atomic instructions and barriers, the
# compiler's reordering, the layout. It does not show what a weak memory does with them: qemu's
# translation for x86-64 keeps that processor's order.
#
# Needs the Debian packages gcc-aarch64-linux-gnu and qemu-user and, after
# `dpkg --add-architecture arm64`, check:arm64, libjansson-dev:arm64, libsubunit-dev:arm64 and
# libxxhash-dev:arm64. Where they are missing it says so and ends with status 77.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/.." && pwd)}" "${JOBS:=2}"

PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
export PKG_CONFIG_LIBDIR

skip() {
	echo "aarch64: skipped: $*"
	exit 77
}

command -v aarch64-linux-gnu-gcc >/dev/null || skip "there is no aarch64-linux-gnu-gcc"
command -v qemu-aarch64 >/dev/null || skip "there is no qemu-aarch64"
pkg-config --exists check jansson libxxhash || skip "there are no libraries for arm64"
[ "$(uname -m)" = x86_64 ] || skip "the emulator is expected on x86-64"

# What qemu-user 7.2 cannot do, as PROGRAM:CASE WHY; the case is an extended regular expression.
unable='segment:child_does_not_inherit_the_mapping madvise(MADV_DONTFORK) has no effect
memory:prefaulted_lane_does_not_fault madvise(MADV_POPULATE_*) has no effect
forked:(every_call_on_an_inherited_handle_is_refused|raw_fork_is_noticed_too) wipes nothing on fork
forked:(child|grandchild)_can_join wipes nothing on fork
forked:join_with(out_the|_a_reused)_descriptor_fails wipes nothing on fork
forked:living_child_keeps_nothing_of_its_dead_parent madvise(MADV_DONTFORK) has no effect
fixture:helper_dies_with_its_parent prctl(PR_SET_CHILD_SUBREAPER) is refused
fixture:leaks_orphan prctl(PR_SET_CHILD_SUBREAPER) is refused'

# reason PROGRAM LINE: why this failure is the emulator's; nothing if it is not.
reason() {
	echo "$unable" | while read -r pattern why; do
		[ "${pattern%%:*}" = "${1%-called}" ] || continue
		echo "$2" | grep -q -E ":${pattern#*:}(:|\$)| ${pattern#*:}\$" && echo "$why"
	done | head -n 1
}

# judge PROGRAM: its TAP on standard input, failures of the emulator as skipped ones.
judge() {
	failures=0
	passes=0
	while read -r line; do
		case $line in
		"not ok"*)
			why=$(reason "$1" "$line")
			if [ -n "$why" ]; then
				echo "skip: $1: $line: $why"
			else
				echo "FAIL: $1: $line"
				failures=$((failures + 1))
			fi
			;;
		"ok "*) passes=$((passes + 1)) ;;
		esac
	done
	echo "$1: $passes passed"
	[ "$failures" = 0 ] && [ "$passes" -gt 0 ]
}

mkdir -p aarch64
cd aarch64 || exit 1
{
	{ [ -f Makefile ] || "$abs_srcdir/configure" -q --host=aarch64-linux-gnu \
		CC=aarch64-linux-gnu-gcc CXX=g++ --enable-werror; } &&
		make -s -j "$JOBS" && make -s -j "$JOBS" check TESTS= BENCH_CFLAGS=
} >build.log 2>&1 || {
	cat build.log
	exit 1
}

abs_builddir=$PWD SHMRING_TEST_EMULATOR=qemu-aarch64 SHMRING_SANITIZED='' CK_TIMEOUT_MULTIPLIER=10
export abs_builddir SHMRING_TEST_EMULATOR SHMRING_SANITIZED CK_TIMEOUT_MULTIPLIER
status=0
for program in $(find tests/unit tests/process tests/crash tests/meta -type f -perm -u+x | sort); do
	case $program in
	*/.libs/* | *.la | */peer) continue ;;
	tests/crash/*) SHMRING_SANITIZED=emulated ;; # a smaller sample
	*) SHMRING_SANITIZED= ;;
	esac
	timeout 1200 qemu-aarch64 "$program" >"$program.log" 2>&1
	judge "${program##*/}" <"$program.log" || status=1
done
exit $status
