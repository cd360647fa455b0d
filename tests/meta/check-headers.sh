#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-headers: every public header compiles alone, and twice, as C11 and as C++, without an
# extension and without a warning.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${CC:=cc}" "${CXX:=c++}"
. "$abs_srcdir/tests/meta/tap.sh"

warnings="-Wall -Wextra -Wpedantic -Wundef -Werror"

# compiles HEADER DIR COMPILER...: what the compiler says against a file that includes HEADER only.
compiles() {
	header=$1 dir=$2
	shift 2
	# shellcheck disable=SC2086 # $warnings is a list
	printf '#include <%s>\n#include <%s>\nextern int unused;\n' "$header" "$header" |
		"$@" $warnings -fsyntax-only -I"$dir" - 2>&1 || echo "$header does not compile"
}

headers=$(cd "$abs_srcdir/include" && ls shmring/*.h)
# shellcheck disable=SC2086 # a list
set -- $headers
tap_plan $(($# * 2 + 3))

# shellcheck disable=SC2086 # CC and CXX may have arguments
for header in $headers; do
	tap_ok "$header as C11" \
		"$(compiles "$header" "$abs_srcdir/include" $CC -x c -std=c11)"
	tap_ok "$header as C++" \
		"$(compiles "$header" "$abs_srcdir/include" $CXX -x c++ -std=c++11)"
done

# The checker itself.
dir=$(mktemp -d) || exit 1
echo 'size_t needs_stddef(void);' >"$dir/needy.h"
# shellcheck disable=SC2086
tap_caught "a header that needs another" "$(compiles needy.h "$dir" $CC -x c -std=c11)"

# moved HEADER MEMBER: what the compiler says if MEMBER becomes larger.
moved() {
	rm -rf "$dir/include"
	cp -r "$abs_srcdir/include" "$dir"
	sed -i "s/uint64_t $2;/uint64_t $2[2];/" "$dir/include/$1"
	# shellcheck disable=SC2086
	compiles "$1" "$dir/include" $CC -x c -std=c11
}
tap_caught "a field of a producer's hot half that moves" "$(moved shmring/producer-inline.h limit)"
tap_caught "a field of a consumer's hot half that moves" "$(moved shmring/consumer-inline.h turn)"
rm -rf "$dir"
