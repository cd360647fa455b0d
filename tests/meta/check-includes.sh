#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-includes: which room may include which. Every #include line of the tree is compared with the
# table of rooms below; a room, or a header, that is not in the table is a violation too.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
. "$abs_srcdir/tests/meta/tap.sh"

rooms="include/shmring lib/text lib/core lib/proto lib/client lib/producer lib/consumer daemon
clients examples bench tests/support tests/unit tests/process tests/crash tests/broker tests/cases tests/cli tests/meta fuzz"

# private ROOM: the rooms whose headers it may include between quotes.
private() {
	case $1 in
	include/shmring) ;;
	lib/text) echo lib/text ;;
	lib/core) echo lib/core lib/text ;;
	lib/proto) echo lib/proto ;;
	lib/client) echo lib/client lib/core lib/proto ;;
	daemon) echo daemon lib/core lib/proto lib/text ;;
	clients) echo clients lib/text ;;
	lib/producer) echo lib/producer lib/core ;;
	lib/consumer) echo lib/consumer lib/core ;;
	examples | bench | tests/support) echo "$1" ;;
	tests/process | tests/cases | tests/cli | tests/meta) echo "$1" tests/support ;;
	tests/crash) echo tests/crash tests/support lib/core ;;
	tests/broker) echo tests/broker tests/support lib/proto ;;
	fuzz) echo fuzz lib/core lib/proto lib/client lib/consumer ;;
	tests/unit)
		echo tests/unit tests/support lib/core lib/proto lib/client lib/producer lib/consumer daemon
		;;
	esac
}

# foreign ROOM: patterns of headers between angle brackets that it must not know.
foreign() {
	case $1 in
	include/shmring) echo "urcu*" ;;
	lib/core) echo "shmring/producer.h shmring/consumer.h stdio.h wchar.h urcu*" ;;
	lib/text) echo "shmring/*.h stdio.h wchar.h urcu*" ;;
	lib/proto) echo "shmring/*.h stdio.h wchar.h urcu*" ;;
	lib/client) echo "shmring/producer.h shmring/consumer.h stdio.h wchar.h urcu*" ;;
	daemon) echo "shmring/producer.h shmring/consumer.h" ;;
	lib/producer) echo "shmring/consumer.h stdio.h wchar.h urcu*" ;;
	lib/consumer) echo "shmring/producer.h stdio.h wchar.h urcu*" ;;
	esac
}

# room_of PATH: the room it lies in; nothing if there is none.
room_of() {
	for room in $rooms; do
		case $1 in
		"$room"/*)
			echo "$room"
			return
			;;
		esac
	done
}

# quoted ROOT FILE NAME: the file of the tree that #include "NAME" in FILE finds.
quoted() {
	from=${2%/*}
	for dir in "$from" $(private "$(room_of "$2")"); do
		[ -f "$1/$dir/$3" ] || continue
		(cd "$1/$dir/$(dirname "$3")" && echo "$(pwd -P)/${3##*/}") |
			sed "s|^$(cd "$1" && pwd -P)/||"
		return
	done
}

# may_know ROOM FILE: is the file in one of its rooms? Of the core, tests/crash may know one header.
may_know() {
	case $1,$2 in
	tests/crash,lib/core/fault.h) return 0 ;;
	tests/crash,lib/core/*) return 1 ;;
	esac
	for known in $(private "$1"); do
		[ "$(room_of "$2")" = "$known" ] && return 0
	done
	return 1
}

# wrong_quoted ROOT ROOM FILE NAME: the complaint about #include "NAME", if there is one.
wrong_quoted() {
	found=$(quoted "$1" "$3" "$4")
	if [ -z "$found" ]; then
		echo "$3: \"$4\" is in no room that $2 may know"
		return
	fi
	may_know "$2" "$found" || echo "$3: \"$4\" is $found, which $2 must not know"
}

# wrong_bracketed ROOT ROOM FILE NAME: the same for #include <NAME>.
wrong_bracketed() {
	for pattern in $(foreign "$2"); do
		# shellcheck disable=SC2254 # it is a pattern
		case $4 in
		$pattern) echo "$3: $2 must not know <$4>" ;;
		esac
	done
	case $4 in
	shmring/*)
		[ -f "$1/include/$4" ] || echo "$3: <$4> is not a public header"
		return
		;;
	esac
	for room in $rooms; do
		[ ! -f "$1/$room/$4" ] || echo "$3: <$4> is $room/$4: include it between quotes"
	done
}

# includes ROOT FILE...: "FILE QUOTE NAME" for each #include line; QUOTE is ", < or ? (computed).
includes() {
	(cd "$1" && shift && awk '
		/^[ \t]*#[ \t]*include(_next)?[^A-Za-z0-9_]/ {
			line = $0
			sub(/^[ \t]*#[ \t]*include(_next)?[ \t]*/, "", line)
			quote = substr(line, 1, 1)
			name = substr(line, 2)
			if (quote != "<" && quote != "\"")
				quote = "?"
			sub(/[>"].*/, "", name)
			print FILENAME, quote, name
		}' "$@")
}

# violations ROOT ROOM: one line each.
violations() {
	[ -d "$1/$2" ] || return 0
	# shellcheck disable=SC2046 # file names of ours have no blanks
	set -- "$1" "$2" $(cd "$1" && find "$2" -name '*.[ch]' | sort)
	[ $# -gt 2 ] || return
	root=$1
	wanted=$2
	shift 2
	includes "$root" "$@" | while read -r file quote name; do
		room=$(room_of "$file")
		[ "$room" = "$wanted" ] || continue
		case $quote in
		'"') wrong_quoted "$root" "$room" "$file" "$name" ;;
		'<') wrong_bracketed "$root" "$room" "$file" "$name" ;;
		*) echo "$file: an #include must name its file" ;;
		esac
	done
}

# homeless ROOT: sources that lie in no room.
homeless() {
	(cd "$1" && find include lib daemon clients examples bench tests -name '*.[ch]') | sort |
		while read -r file; do
			[ -n "$(room_of "$file")" ] || echo "$file: lies in no room of the table"
		done
}

# caught FILE LINE: a tree in which FILE consists of LINE; what the checker says about it.
caught() {
	tree=$(mktemp -d) || exit 1
	for room in $rooms; do
		mkdir -p "$tree/$room"
		echo "#include <stddef.h>" >"$tree/$room/$(echo "$room" | tr / -).h"
	done
	touch "$tree/include/shmring/producer.h" "$tree/lib/core/fault.h"
	mkdir -p "$tree/${1%/*}"
	echo "$2" >"$tree/$1"
	for room in $rooms; do
		violations "$tree" "$room"
	done
	homeless "$tree"
	rm -rf "$tree"
}

tap_plan 38

for room in $rooms; do
	tap_ok "$room includes what it may" "$(violations "$abs_srcdir" "$room")"
done
tap_ok "every source lies in a room" "$(homeless "$abs_srcdir")"

# The checker itself: it is silent about what is allowed, and sees every kind of violation.
tap_ok "allows what is allowed" "$(
	caught lib/core/x.c '#include "lib-core.h"'
	caught lib/core/x.c '#include <sys/mman.h>'
	caught lib/producer/x.c '#include "lib-core.h"'
	caught lib/producer/x.c '#include <shmring/producer.h>'
	caught clients/x.c '#include <stdio.h>'
	caught examples/demo/x.c '#include <shmring/producer.h>'
	caught tests/process/x.c '#include "tests-support.h"'
	caught tests/crash/x.c '#include "fault.h"'
	caught tests/unit/x.c '#include "lib-core.h"'
)"
tap_caught "stdio in the core" "$(caught lib/core/x.c '#include <stdio.h>')"
tap_caught "stdio with blanks" "$(caught lib/core/x.c '  #  include	<stdio.h>')"
tap_caught "liburcu in the core" "$(caught lib/core/x.h '#include <urcu/list.h>')"
tap_caught "a role in the core" "$(caught lib/core/x.c '#include <shmring/producer.h>')"
tap_caught "a role's headers in the core" "$(caught lib/core/x.c '#include "../producer/lib-producer.h"')"
tap_caught "the consumer in the producer" "$(caught lib/producer/x.c '#include "../consumer/lib-consumer.h"')"
tap_caught "the core in a client" "$(caught clients/x.c '#include "lib-core.h"')"
tap_caught "the core in a client, by path" "$(caught clients/x.c '#include "../lib/core/lib-core.h"')"
tap_caught "the core in a client, in brackets" "$(caught clients/x.c '#include <lib-core.h>')"
tap_caught "the core in an example" "$(caught examples/demo/x.c '#include "../../lib/core/lib-core.h"')"
tap_caught "the core in a process test" "$(caught tests/process/x.c '#include "lib-core.h"')"
tap_caught "the core in a crash test" "$(caught tests/crash/x.c '#include "lib-core.h"')"
tap_caught "a role in the broker" "$(caught daemon/x.c '#include <shmring/consumer.h>')"
tap_caught "a private header in a public one" "$(caught include/shmring/x.h '#include "../../lib/core/lib-core.h"')"
tap_caught "a public header that does not exist" "$(caught clients/x.c '#include <shmring/x.h>')"
tap_caught "a computed include, or a source without a room" "$(
	[ -n "$(caught clients/x.c '#include HEADER')" ] && caught lib/x.c '')"
