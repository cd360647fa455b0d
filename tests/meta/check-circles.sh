#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-circles: in the libraries named below no call leads in a circle from file to file, so each
# file can be read and tested with nothing but the files below it. That holds for each room, and for
# the rooms that are linked into one library or program. A callback that is handed in at run time is
# no such call.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${abs_builddir:=$PWD}"
: "${NM:=nm}"
. "$abs_srcdir/tests/meta/tap.sh"

# edges: from lines of `nm -A` to "USER USED", two objects each, for every pair of which one uses a
# symbol that the other one defines.
edges() {
	awk '
	{
		object = $1
		sub(/:[^:]*$/, "", object)
		sub(/.*[:\/]/, "", object)
		sub(/_la-/, "/", object)
		kind = $(NF - 1)
		if (kind == "U")
			used[object " " $NF] = 1
		else if (kind ~ /^[TDBRVW]$/)
			home[$NF] = object
	}
	END {
		for (use in used) {
			split(use, part, " ")
			if (part[2] in home && home[part[2]] != part[1])
				print part[1], home[part[2]]
		}
	}' | sort -u
}

# circles: the objects on a circle of such edges, one line for each.
circles() {
	edges | tsort 2>&1 >/dev/null | sed -n 's/^tsort: \(.*\.o\)$/\1 is on a circle/p'
}

# symbols LIBRARY...: the objects of libraries that are linked into others.
symbols() {
	for name in "$@"; do
		library=$abs_builddir/${name%/*}/.libs/${name##*/}.a
		# shellcheck disable=SC2086 # NM may have arguments
		[ ! -f "$library" ] || $NM -A "$library" 2>/dev/null
	done
}

set -- daemon/libbroker \
	lib/core/libcore \
	lib/client/libclient \
	lib/consumer/libconsumer \
	lib/producer/libproducer \
	lib/proto/libproto
tap_plan $(($# + 5))

for library in "$@"; do
	tap_ok "no call leads in a circle in $library" "$(symbols "$library" | circles)"
done
tap_ok "no call leads in a circle in libshmring.so" \
	"$(symbols lib/core/libcore lib/client/libclient lib/proto/libproto | circles)"
tap_ok "no call leads in a circle in the broker" \
	"$(symbols daemon/libbroker lib/core/libcore lib/proto/libproto | circles)"
tap_caught "there are calls at all" "$(symbols lib/core/libcore | edges)"

# The checker itself.
tap_caught "a circle of three" "$(circles <<-'EOF'
	x.a:l_la-a.o:0000 T fa
	x.a:l_la-a.o:     U fb
	x.a:l_la-b.o:0000 T fb
	x.a:l_la-b.o:     U fc
	x.a:l_la-c.o:0000 T fc
	x.a:l_la-c.o:     U fa
EOF
)"
tap_ok "allows two ways to one file" "$(circles <<-'EOF'
	x.a:l_la-a.o:0000 T fa
	x.a:l_la-a.o:     U fb
	x.a:l_la-a.o:     U fc
	x.a:l_la-b.o:0000 T fb
	x.a:l_la-b.o:     U fc
	x.a:l_la-c.o:0000 T fc
EOF
)"
