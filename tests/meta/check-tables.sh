#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-tables: the tables of docs/architecture.md and docs/testing.md have a row for each source, and no
# row for a source that has gone. A row names its files between backquotes, without their ending.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
. "$abs_srcdir/tests/meta/tap.sh"

# sources ROOT DIRECTORY...: the files below them, without directory `lib` and without ending.
sources() {
	(cd "$1" && shift && find "$@" -name '*.[ch]') | sed -e 's|^lib/||' -e 's|\.[ch]$||' | sort -u
}

# first_cells FILE: what stands between backquotes in the first cells of its tables.
first_cells() {
	sed -n 's/^| \(`[^|]*\) | .*/\1/p' "$1" | grep -o '`[^`]*`' | tr -d '`' | sed 's/\.[a-z]*$//' | sort -u
}

# without NAMES FILE: those names, one a line, that FILE does not have as a line.
without() {
	printf '%s\n' "$1" | grep -v -x -F -f "$2"
}

# wrong_rooms ROOT: sources of libraries and broker without a row, and rows without a source.
wrong_rooms() {
	first_cells "$1/docs/architecture.md" >"$work/cells"
	without "$(sources "$1" lib)" "$work/cells" | sed 's/$/ has no row in docs\/architecture.md/'
	without "$(sources "$1" daemon | sed 's|^daemon/||')" "$work/cells" |
		sed 's/$/ of the broker has no row in docs\/architecture.md/'
	sources "$1" lib >"$work/sources"
	without "$(grep -E '^(core|text|proto|client|producer|consumer)/' "$work/cells")" "$work/sources" |
		sed 's/$/ has a row in docs\/architecture.md, and is not there/'
}

# wrong_tests ROOT: tests without a row.
wrong_tests() {
	first_cells "$1/docs/testing.md" >"$work/cells"
	without "$(cd "$1/tests" && find unit process broker cases cli meta -name '*.c' -o -name '*.sh' |
		sed -e 's|.*/||' -e 's|\.[a-z]*$||' | sort -u)" "$work/cells" |
		sed 's/$/ has no row in docs\/testing.md/'
}

# doctored FILE SED-SCRIPT: a copy of what is checked, with FILE changed.
doctored() {
	rm -rf "$work/copy"
	mkdir "$work/copy"
	for part in lib daemon tests docs; do
		cp -R "$abs_srcdir/$part" "$work/copy"
	done
	chmod -R u+w "$work/copy"
	sed "$2" "$abs_srcdir/$1" >"$work/copy/$1"
	echo "$work/copy"
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

tap_plan 7
tap_ok "architecture.md has all files, and no others" "$(wrong_rooms "$abs_srcdir")"
tap_ok "testing.md has all tests" "$(wrong_tests "$abs_srcdir")"
tap_ok "finds sources" "$([ "$(sources "$abs_srcdir" lib daemon | wc -l)" -ge 80 ] || sources "$abs_srcdir")"
tap_caught "a file without a row" "$(wrong_rooms "$(doctored docs/architecture.md '/^| `core\/lane`/d')")"
tap_caught "a file of the broker without a row" \
	"$(wrong_rooms "$(doctored docs/architecture.md '/^| `catalog`/d')")"
tap_caught "a row without a file" \
	"$(wrong_rooms "$(doctored docs/architecture.md 's/^| `core\/lane`/| `core\/lane`, `core\/street`/')")"
tap_caught "a test without a row" "$(wrong_tests "$(doctored docs/testing.md '/^| `until`/d')")"
