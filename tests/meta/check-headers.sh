#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-headers: every public header compiles alone, and twice, as C99, C11 and C++, without an
# extension and without a warning; so do all of them together. No struct or enum has the name of a
# function, and the layout that is compiled into programs stays.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${CC:=cc}" "${CXX:=c++}"
. "$abs_srcdir/tests/meta/tap.sh"

warnings="-Wall -Wextra -Wpedantic -Wundef -Wshadow -Wcast-qual -Werror"
# Programs in C++ often ask for these.
cxx_warnings="-Wold-style-cast -Wzero-as-null-pointer-constant"

# compiles HEADERS DIR COMPILER...: what the compiler says against a file that includes them only.
compiles() {
	headers_of=$1 dir_of=$2
	shift 2
	# shellcheck disable=SC2086 # lists
	{
		printf '#include <%s>\n' $headers_of $headers_of
		echo 'extern int unused;'
	} | "$@" $warnings -fsyntax-only -I"$dir_of" - 2>&1 || echo "$headers_of: does not compile"
}

# all_ways HEADERS DIR: the same for every language. GCC tells of casts that do nothing, and does
# not see old casts between the braces of extern "C"; clang, where there is one, sees them.
all_ways() {
	# shellcheck disable=SC2086 # CC and CXX may have arguments
	{
		compiles "$1" "$2" $CC -x c -std=c99
		compiles "$1" "$2" $CC -x c -std=c11
		compiles "$1" "$2" $CXX -x c++ -std=c++11 $cxx_warnings $useless
		! command -v clang++ >/dev/null ||
			compiles "$1" "$2" clang++ -x c++ -std=c++11 $cxx_warnings
	}
}

# shellcheck disable=SC2086 # CXX may have arguments
if echo | $CXX -x c++ -Werror -Wuseless-cast -fsyntax-only - 2>/dev/null; then
	useless=-Wuseless-cast
else
	useless=
fi

# same_names DIR: structs and enums that have the name of a function.
same_names() {
	# shellcheck disable=SC2086 # CC may have arguments
	printf '#include <shmring/consumer.h>\n#include <shmring/producer.h>\n' |
		$CC -E -P -I"$1" -x c - | tr '\n' ' ' >"$dir/text"
	grep -oE '(struct|enum|union) shmring_[a-z0-9_]*' "$dir/text" | awk '{ print $2 }' |
		sort -u >"$dir/tags"
	grep -oE 'shmring_[a-z0-9_]* *\(' "$dir/text" | tr -d ' (' | sort -u >"$dir/functions"
	comm -12 "$dir/tags" "$dir/functions"
}

# namespaced DIR: what a C++ compiler says of a namespace shmring beside the headers.
namespaced() {
	# shellcheck disable=SC2086 # CXX may have arguments
	{
		printf '#include <%s>\n' shmring/consumer.h shmring/producer.h
		echo 'namespace shmring { struct ring; }'
	} | $CXX -x c++ -std=c++11 -Werror -fsyntax-only -I"$1" - 2>&1 ||
		echo refused
}

headers=$(cd "$abs_srcdir/include" && echo shmring/*.h)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2086 # a list
set -- $headers
tap_plan $(($# + 9))

for header in $headers; do
	tap_ok "$header alone" "$(all_ways "$header" "$abs_srcdir/include")"
done
tap_ok "all together" "$(all_ways "$headers" "$abs_srcdir/include")"
tap_ok "no struct or enum has the name of a function" "$(same_names "$abs_srcdir/include")"
tap_ok "a namespace shmring beside them" "$(namespaced "$abs_srcdir/include")"

# The checker itself.
echo 'size_t needs_stddef(void);' >"$dir/needy.h"
# shellcheck disable=SC2086
tap_caught "a header that needs another" "$(compiles needy.h "$dir" $CC -x c -std=c11)"

# changed HEADER SED-COMMAND CHECK ARGUMENT...: what CHECK says of headers that were changed so.
changed() {
	rm -rf "$dir/include"
	cp -r "$abs_srcdir/include" "$dir"
	sed -i "$2" "$dir/include/$1"
	shift 2
	"$@"
}
tap_caught "a field of a producer's hot half that moves" "$(changed shmring/producer-inline.h \
	's/uint64_t limit;/uint64_t limit[2];/' all_ways shmring/producer.h "$dir/include")"
tap_caught "a field of a consumer's hot half that moves" "$(changed shmring/consumer-inline.h \
	's/uint64_t turn;/uint64_t turn[2];/' all_ways shmring/consumer.h "$dir/include")"
tap_caught "a name that hides another" "$(changed shmring/abi-inline.h \
	's/^typedef uint64_t/static inline int f(int a) { { int a = 1; return a; } }\n&/' \
	all_ways shmring/consumer.h "$dir/include")"
tap_caught "a struct with the name of a function" "$(changed shmring/shmring.h \
	's/struct shmring_wait_item/struct shmring_wait/' same_names "$dir/include")"
tap_caught "a struct with the name of the namespace" "$(changed shmring/shmring.h \
	's/struct shmring_ring;/struct shmring;/' namespaced "$dir/include")"
