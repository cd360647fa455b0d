#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run-examples: every example does what its first comment says. Speaks TAP.

set -u
examples=${abs_builddir:-$PWD}/examples
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
ring=$dir/ring
count=0

# expect NAME STATUS OUTPUT COMMAND...: the command must end so and print exactly that.
expect() {
	name=$1 status=$2 output=$3
	shift 3
	count=$((count + 1))
	got=$(timeout 60 "$@" 2>"$dir/stderr.$count")
	got_status=$?
	if [ "$got_status" = "$status" ] && [ "$got" = "$output" ]; then
		echo "ok $count - $name"
		return
	fi
	echo "not ok $count - $name"
	printf 'status %s, standard output:\n%s\nstandard error:\n' "$got_status" "$got" |
		cat - "$dir/stderr.$count" | sed 's/^/# /'
}

hello="hello, world 1
hello, world 2
hello, world 3"

echo "1..12"
: >"$dir/text"
expect "a consumer of a file that is no ring fails" 1 "" "$examples/hello-consumer" "$dir/text"
expect "and says why, naming itself and the file" 0 1 \
	grep -c "^hello-consumer: .*$dir/text" "$dir/stderr.1"
expect "a consumer that is started first waits for the ring" 0 "$hello" \
	sh -c '"$1/hello-consumer" "$2" & "$1/hello-producer" "$2" && wait $!' sh "$examples" "$ring"
rm "$ring"
expect "a producer needs no consumer" 0 "" "$examples/hello-producer" "$ring"
expect "a consumer reads what was said before it came" 0 "$hello" "$examples/hello-consumer" "$ring"
expect "so does the next one" 0 "$hello" "$examples/hello-consumer" "$ring"
expect "a producer uses a ring that is there" 0 "" "$examples/hello-producer" "$ring"
expect "parent and child share a ring by fork" 0 "child: the sum is 500500" "$examples/fork"
expect "a batch is written and read in place" 0 \
	"8 messages in one batch: (0,0) (1,1) (2,4) (3,9) (4,16) (5,25) (6,36) (7,49)" \
	"$examples/zero-copy-batch"
expect "a ring goes through a socket" 0 "reader: a ring came through the socket" \
	"$examples/pass-descriptor"
expect "rings are served by an event loop" 0 "1000 apples and 1000 pears" "$examples/event-loop"
if [ -x "$examples/sd-event-loop" ]; then
	expect "and by that of a library" 0 "1000 apples and 1000 pears" "$examples/sd-event-loop"
else
	echo "ok 12 - and by that of a library # SKIP built without libsystemd"
fi
