#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-symbols: a public function is declared in a header, listed in the library's version script
# and defined in the library, or it is in none of the three; and nothing else leaves a library but
# the core's shmr_* for the libraries of the same release.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${abs_builddir:=$PWD}"
: "${CC:=cc}" "${NM:=nm}"
. "$abs_srcdir/tests/meta/tap.sh"

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# declared HEADER: the functions that it and what it includes declare.
declared() {
	# shellcheck disable=SC2086 # CC may have arguments
	$CC -E -P -I"$abs_srcdir/include" "$abs_srcdir/include/shmring/$1" |
		tr -d '\n' | grep -o 'shmring_[a-z0-9_]* *(' | tr -d ' (' | sort -u
}

# listed MAP NODE: the names that the version script lists as global in that node.
listed() {
	sed 's|/\*.*\*/||' "$1" | awk -v node="$2" '
		$2 == "{" { in_node = $1 == node }
		/global:/ { global = 1; next }
		/local:/ { global = 0 }
		in_node && global && /;/ && !/}/ { gsub(/[ \t;]/, ""); print }' | sort -u
}

# symbols LIBRARY NM-OPTION: dynamic symbols, as NAME or NAME@VERSION.
symbols() {
	# shellcheck disable=SC2086 # NM may have arguments
	$NM -D "$2" "$abs_builddir/.libs/$1" | awk '{ print $NF }' | grep '^shmr' |
		sed 's/@@/@/' | sort -u
}

# differ WHAT A B: names in file A only and in file B only, each file called as in WHAT.
differ() {
	comm -23 "$2" "$3" | sed "s|\$| is ${1% and *} but not ${1#* and }|"
	comm -13 "$2" "$3" | sed "s|\$| is ${1#* and } but not ${1% and *}|"
}

# check ROOM LIBRARY HEADER
check() {
	map=$abs_srcdir/lib/$1/lib$2.map
	listed "$map" SHMRING_0 >"$dir/listed"
	symbols "lib$2.so" --defined-only >"$dir/defined"
	sed -n 's/@SHMRING_0$//p' "$dir/defined" | grep '^shmring_' >"$dir/public"
	declared "$3" >"$dir/declared"
	if [ "$1" != core ]; then
		declared shmring.h | comm -23 "$dir/declared" - >"$dir/own"
		mv "$dir/own" "$dir/declared"
	fi
	tap_ok "$3: declared is listed" \
		"$(differ "declared in $3 and listed in ${map##*/}" "$dir/declared" "$dir/listed")"
	tap_ok "lib$2.so: listed is defined" \
		"$(differ "listed in ${map##*/} and defined in lib$2.so" "$dir/listed" "$dir/public")"
	tap_ok "lib$2.so: nothing else is visible" "$(
		# shellcheck disable=SC2086
		$NM -D --defined-only "$abs_builddir/.libs/lib$2.so" | awk '$(NF - 1) != "A" { print $NF }' |
			grep -v -e '^shmring_[a-z0-9_]*@@SHMRING_0$' -e "$private")"
}

# slow_halves HEADER: what only the inline functions of HEADER call, and is not named after a
# version of what they touch.
slow_halves() {
	# shellcheck disable=SC2086 # CC may have arguments
	(
		CC="$CC -DSHMRING_NO_INLINE"
		declared "$1"
	) >"$dir/called"
	declared "$1" | comm -13 "$dir/called" - | grep -v '^shmring_slow[1-9][0-9]*_[a-z_]*$'
}

tap_plan 16

private='^shmr_[a-z0-9_]*@@SHMRING_PRIVATE$'
check core shmring shmring.h
cp "$dir/defined" "$dir/core"
private='^$'
for role in producer consumer; do
	check $role shmring-$role $role.h
	tap_ok "libshmring-$role.so: what it needs is there" \
		"$(symbols libshmring-$role.so --undefined-only | comm -23 - "$dir/core")"
done

for role in producer consumer; do
	tap_ok "$role-inline.h: slow halves carry a version" "$(slow_halves $role.h)"
done

# The checker itself.
sed '$d' "$dir/core" >"$dir/fewer"
tap_caught "a function that is missing" "$(differ "here and there" "$dir/core" "$dir/fewer")"
tap_caught "a slow half without a version" "$(
	cp -r "$abs_srcdir/include" "$dir"
	sed -i 's/shmring_slow1_peek/shmring_peek_slowly/' "$dir/include/shmring/consumer-inline.h"
	abs_srcdir=$dir
	slow_halves consumer.h
)"
tap_caught "a function too many" "$(differ "here and there" "$dir/fewer" "$dir/core")"
