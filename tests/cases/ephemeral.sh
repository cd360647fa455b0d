#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ephemeral: a ring that is made for one run goes with it, whichever way the run ends.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter
rings=$work/shmring

# nothing_left NAME: neither a name nor a hidden one
nothing_left() {
	check "$1" [ -z "$(ls -A "$rings")" ]
}

expect 0 "an ephemeral ring" "$SHMRING" create --ephemeral run
expect 0 "ls leaves it, because nobody has used it yet" "$SHMRING" ls
check "so it does" grep -q '^run ' out
expect 0 "stat" "$SHMRING" stat run
check "tells people" grep -q 'ephemeral .*goes with its last user' out
expect 0 "stat --json" "$SHMRING" stat --json run
check "tells programs" grep -q '"ephemeral": true' out

# A run that ends by itself.
has_messages() {
	[ "$("$SHMRING" stat --json "$1" | sed -n 's/^ *"messages": \([0-9]*\),*$/\1/p' | head -n 1)" = "$2" ]
}

seq 1 1000 >all
start "$SHMRING" sub --drain run >got &
sub=$!
until_true has_consumers run 1
expect 0 "the writer" "$SHMRING" pub run all
ended "$sub" 0 "the reader"
check "has all messages" cmp all got
nothing_left "and the ring went with it"

expect 0 "a ring for a writer alone" "$SHMRING" create --ephemeral run
expect 0 "the writer" "$SHMRING" pub run all
nothing_left "messages that nobody reads do not keep it"
says "but the writer says so" "run: no consumer has read 1000 messages, and the ring is removed"
says "and what helps" "pub --wait-consumers 1"

# The writer says nothing where nothing is lost.
expect 0 "a ring that a reader came to" "$SHMRING" create --ephemeral run
expect 0 "a kept name" "$SHMRING" sub --name archive --no-follow run
expect 0 "the writer beside it" "$SHMRING" pub run all
check "says nothing" [ ! -s err ]
expect 0 "the name comes back" "$SHMRING" sub --name archive --no-follow run
check "and has all messages" cmp all out
expect 0 "the name is forgotten" "$SHMRING" forget run archive
expect 0 "a ring whose reader ends first" "$SHMRING" create --ephemeral run
mkfifo pipe
exec 3<>pipe
start "$SHMRING" pub run <pipe 2>said &
pub=$!
echo message >&3
until_true has_messages run 1
expect 0 "the reader" "$SHMRING" sub --no-follow run
check "has the message" [ "$(cat out)" = message ]
kill -TERM "$pub"
ended "$pub" 143 "the writer"
check "says nothing" sh -c '! grep -q "no consumer" said'
exec 3>&-
rm pipe
expect 0 "a ring for an empty writer" "$SHMRING" create --ephemeral run
expect 0 "the empty writer" "$SHMRING" pub run /dev/null
check "says nothing, too" [ ! -s err ]
nothing_left "and takes the ring along"

# A command that has the ring open, while it goes with its last user, makes another one like it.
like_the_old_one() {
	"$SHMRING" stat --json run >stat.json
	grep -q '"ephemeral": true' stat.json && grep -q '"lane_size": 65536' stat.json &&
		[ "$(stat -c %a "$rings/run")" = 660 ]
}
expect 0 "a ring with a shape" "$SHMRING" create --ephemeral --mode 0660 --lane-size 64K --lanes 1 run
mkfifo first second
exec 3<>first 4<>second
start "$SHMRING" pub run <first &
pub1=$!
until_true has_producers run 1
start "$SHMRING" pub --verbose run <second 2>waiting &
pub2=$!
until_true grep -q 'the only lane is taken' waiting
kill -STOP "$pub2"
kill -TERM "$pub1"
ended "$pub1" 143 "its last user"
nothing_left "takes it along"
kill -CONT "$pub2"
until_true has_producers run 1
check "the one that waited has made one of its shape" like_the_old_one
kill -TERM "$pub2"
ended "$pub2" 143 "which is ephemeral"
nothing_left "and goes, too"
exec 3>&- 4>&-
rm first second

# A run that is killed.
kill_a_run() {
	expect 0 "another one" "$SHMRING" create --ephemeral run
	mkfifo pipe
	exec 3<>pipe
	start "$SHMRING" pub run <pipe &
	pub=$!
	echo message >&3
	until_true has_producers run 1
	kill -KILL "$pub"
	wait "$pub" 2>/dev/null
	exec 3>&-
	rm pipe
	check "its name is left" [ "$(ls -A "$rings")" = run ]
}

kill_a_run
expect 0 "ls after a kill" "$SHMRING" ls
check "shows no ring" [ ! -s out ]
nothing_left "and has removed it"
kill_a_run
expect 0 "rm --unused after a kill" "$SHMRING" rm --unused
check "says that it removed it" [ "$(cat out)" = "removed run" ]
nothing_left "and has removed it, whatever was unread"
kill_a_run
expect 1 "stat after a kill" "$SHMRING" stat run
says "finds no ring" "no ring 'run'"
kill_a_run
expect 0 "create after a kill" "$SHMRING" create --ephemeral run
expect 0 "makes a new one" "$SHMRING" stat --json run
check "that nobody has used" sh -c '! grep -q "\"tenancy\": 1" out'
expect 1 "as long as it is there" "$SHMRING" create --ephemeral run
says "another one is refused" "exists already"

# A remover that was killed.
expect 0 "its only user" "$SHMRING" sub --name archive --no-follow run
check "keeps it by a name" [ "$(ls -A "$rings")" = run ]
mv "$rings/run" "$rings/.shmring-removing-1-run"
expect 0 "ls finds a hidden ring" "$SHMRING" ls
check "that is in use, and brings it back" [ "$(ls -A "$rings")" = run ]
expect 3 "--fresh" "$SHMRING" sub --fresh --timeout 50ms run
nothing_left "makes it anew with its shape, and is its last user"
expect 0 "one more" "$SHMRING" create --ephemeral run
expect 0 "with a name" "$SHMRING" sub --name archive --no-follow run
expect 0 "the name is forgotten" "$SHMRING" forget run archive
nothing_left "which was the last user"

expect 1 "a ring of the broker" "$SHMRING" create --ephemeral broker:run
says "is refused" "remove it with 'shmring rm'"

finish
