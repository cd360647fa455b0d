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

# survey ROOT: "ROOM: COMPLAINT" for each violation, and "homeless: COMPLAINT" for each source that
# lies in no room. One process looks at the whole tree.
survey() {
	(cd "$1" && find include lib daemon clients examples bench tests fuzz -type f | sort |
		awk -v rooms="$rooms" "$checker")
}

# shellcheck disable=SC2016 # this is awk's
checker='
# may(ROOM, ROOMS): it may include the private headers of those rooms, between quotes.
function may(room, list) { private[room] = list }

# mustnot(ROOM, PATTERNS): it must not know these headers, between angle brackets.
function mustnot(room, list) { foreign[room] = list }

function tables() {
	may("lib/text", "lib/text")
	may("lib/core", "lib/core lib/text")
	may("lib/proto", "lib/proto")
	may("lib/client", "lib/client lib/core lib/proto")
	may("daemon", "daemon lib/core lib/proto lib/text")
	may("clients", "clients lib/text")
	may("lib/producer", "lib/producer lib/core")
	may("lib/consumer", "lib/consumer lib/core")
	may("examples", "examples")
	may("bench", "bench")
	may("tests/support", "tests/support")
	may("tests/process", "tests/process tests/support")
	may("tests/cases", "tests/cases tests/support")
	may("tests/cli", "tests/cli tests/support")
	may("tests/meta", "tests/meta tests/support")
	may("tests/crash", "tests/crash tests/support lib/core")
	may("tests/broker", "tests/broker tests/support lib/proto")
	may("fuzz", "fuzz lib/core lib/proto lib/client lib/consumer")
	may("tests/unit", "tests/unit tests/support lib/core lib/proto lib/client lib/producer " \
		"lib/consumer daemon")

	mustnot("include/shmring", "urcu*")
	mustnot("lib/core", "shmring/producer.h shmring/consumer.h stdio.h wchar.h urcu*")
	mustnot("lib/text", "shmring/*.h stdio.h wchar.h urcu*")
	mustnot("lib/proto", "shmring/*.h stdio.h wchar.h urcu*")
	mustnot("lib/client", "shmring/producer.h shmring/consumer.h stdio.h wchar.h urcu*")
	mustnot("daemon", "shmring/producer.h shmring/consumer.h")
	mustnot("lib/producer", "shmring/consumer.h stdio.h wchar.h urcu*")
	mustnot("lib/consumer", "shmring/producer.h stdio.h wchar.h urcu*")
}

# room_of(PATH): the room it lies in; "" if there is none.
function room_of(path,    i) {
	for (i = 1; i <= room_count; i++)
		if (index(path, room_list[i] "/") == 1)
			return room_list[i]
	return ""
}

# plain(PATH): without "." and ".."
function plain(path,    parts, count, i, kept, out) {
	count = split(path, parts, "/")
	kept = 0
	for (i = 1; i <= count; i++) {
		if (parts[i] == "..")
			kept--
		else if (parts[i] != "." && parts[i] != "")
			out[++kept] = parts[i]
		if (kept < 0)
			return ""
	}
	path = out[1]
	for (i = 2; i <= kept; i++)
		path = path "/" out[i]
	return path
}

# quoted(FILE, ROOM, NAME): the file of the tree that #include "NAME" in FILE finds.
function quoted(file, room, name,    dirs, count, i, found) {
	sub(/\/[^\/]*$/, "", file)
	count = split(file " " private[room], dirs, " ")
	for (i = 1; i <= count; i++) {
		found = plain(dirs[i] "/" name)
		if (found in exists)
			return found
	}
	return ""
}

# may_know(ROOM, FILE): is the file in one of its rooms? Of the core, tests/crash may know one header.
function may_know(room, file,    known, count, i) {
	if (room == "tests/crash" && index(file, "lib/core/") == 1)
		return file == "lib/core/fault.h"
	count = split(private[room], known, " ")
	for (i = 1; i <= count; i++)
		if (room_of(file) == known[i])
			return 1
	return 0
}

function complain(room, words) { print room ": " words }

function look_quoted(room, file, name,    found) {
	found = quoted(file, room, name)
	if (found == "")
		complain(room, file ": \"" name "\" is in no room that " room " may know")
	else if (!may_know(room, found))
		complain(room, file ": \"" name "\" is " found ", which " room " must not know")
}

# matches(NAME, PATTERN): a star in the pattern is any text.
function matches(name, pattern) {
	gsub(/\./, "[.]", pattern)
	gsub(/\*/, ".*", pattern)
	return name ~ ("^" pattern "$")
}

function look_bracketed(room, file, name,    list, count, i) {
	count = split(foreign[room], list, " ")
	for (i = 1; i <= count; i++)
		if (matches(name, list[i]))
			complain(room, file ": " room " must not know <" name ">")
	if (index(name, "shmring/") == 1) {
		if (!(("include/" name) in exists))
			complain(room, file ": <" name "> is not a public header")
		return
	}
	for (i = 1; i <= room_count; i++)
		if (plain(room_list[i] "/" name) in exists)
			complain(room, file ": <" name "> is " room_list[i] "/" name \
				": include it between quotes")
}

# look(ROOM, FILE): each of its #include lines.
function look(room, file,    line, quote, name) {
	while ((getline line <file) > 0) {
		if (line !~ /^[ \t]*#[ \t]*include(_next)?[^A-Za-z0-9_]/)
			continue
		sub(/^[ \t]*#[ \t]*include(_next)?[ \t]*/, "", line)
		quote = substr(line, 1, 1)
		name = substr(line, 2)
		sub(/[>"].*/, "", name)
		if (quote == "\"")
			look_quoted(room, file, name)
		else if (quote == "<")
			look_bracketed(room, file, name)
		else
			complain(room, file ": an #include must name its file")
	}
	close(file)
}

BEGIN {
	room_count = split(rooms, room_list, " ")
	tables()
}

{ exists[$0] = 1 }
/\.[ch]$/ { sources[++source_count] = $0 }

END {
	for (i = 1; i <= source_count; i++) {
		room = room_of(sources[i])
		if (room == "")
			complain("homeless", sources[i] ": lies in no room of the table")
		else
			look(room, sources[i])
	}
}'

# of ROOM: what the survey says of it.
of() {
	sed -n "s|^$1: ||p" "$work/survey"
}

# bare_tree: a tree with one header in each room.
bare_tree() {
	for room in $rooms; do
		mkdir -p "$work/tree/$room"
		echo "#include <stddef.h>" >"$work/tree/$room/$(echo "$room" | tr / -).h"
	done
	mkdir "$work/tree/examples/demo"
	touch "$work/tree/include/shmring/producer.h" "$work/tree/lib/core/fault.h"
}

# caught FILE LINE: the bare tree, and FILE that consists of LINE; what the checker says about it.
caught() {
	echo "$2" >"$work/tree/$1"
	survey "$work/tree"
	rm "$work/tree/$1"
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
survey "$abs_srcdir" >"$work/survey"
bare_tree

tap_plan 38

for room in $rooms; do
	tap_ok "$room includes what it may" "$(of "$room")"
done
tap_ok "every source lies in a room" "$(of homeless)"

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
