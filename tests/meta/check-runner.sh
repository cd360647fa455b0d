#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-runner: the command line of a test program selects what it says, and nothing by mistake.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${abs_builddir:=$abs_srcdir/build}"
. "$abs_srcdir/tests/meta/tap.sh"

program=$abs_builddir/tests/unit/layout
all=$("$program" --list)
first=$(echo "$all" | head -n 1)
second=$(echo "$all" | sed -n 2p)

# differs ARGUMENTS WANTED: the names of the tests that ran, when they are not those.
differs() {
	# shellcheck disable=SC2086 # a list
	ran=$("$program" $1 2>/dev/null | sed -n 's/^ok .*:layout:\([a-z0-9_]*\): .*/\1/p' | sort -u)
	[ "$ran" = "$(echo "$2" | sort -u)" ] || echo "ran: $ran"
}

tap_plan 5
tap_ok "without a name all tests run" "$(differs "" "$all")"
tap_ok "two names run two tests" "$(differs "$first $second" "$first
$second")"
tap_ok "one test runs without fork" "$(differs "--no-fork $first" "$first")"
tap_ok "a name that no test has is an error" "$(
	"$program" "$first" no_such_test >/dev/null 2>&1
	status=$?
	[ "$status" = 2 ] || echo "status $status")"
tap_ok "the error names it" "$(
	"$program" no_such_test 2>&1 | grep -q "no test has the name 'no_such_test'" || echo "it does not")"
