#!/bin/sh
# SPDX-License-Identifier: MIT
#
# unused: one command removes what killed runs left, and nothing that is in use or would be lost.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter
rings=$work/shmring

expect 0 "without any ring" "$SHMRING" rm --unused

# Twenty runs that were killed in the midst of it.
mkfifo pipe
exec 3<>pipe
for run in $(seq 20); do
	start "$SHMRING" sub "run-$run" >/dev/null &
	sub=$!
	until_true has_consumers "run-$run" 1
	start "$SHMRING" pub "run-$run" <pipe &
	pub=$!
	until_true has_producers "run-$run" 1
	kill -KILL "$sub" "$pub"
	wait "$sub" "$pub" 2>/dev/null
done
exec 3>&-
# shellcheck disable=SC2012 # our own names
check "they left their rings" [ "$(ls "$rings" | wc -l)" = 20 ]
start "$SHMRING" sub live >/dev/null &
live=$!
until_true has_consumers live 1

expect 0 "a dry run" "$SHMRING" rm --unused --dry-run
check "says what would go" [ "$(grep -c '^would remove run-' out)" = 20 ]
check "and what stays, and why" grep -q '^kept live (.*a living process is attached' out
# shellcheck disable=SC2012
check "and removes nothing" [ "$(ls "$rings" | wc -l)" = 21 ]
expect 0 "all of them are young" "$SHMRING" rm --unused --older 1h
check "so nothing happens" [ ! -s out ]
expect 0 "one command" "$SHMRING" rm --unused
check "removes them, a line each" [ "$(grep -c '^removed run-' out)" = 20 ]
check "and the ring in use stays" [ "$(ls -A "$rings")" = live ]
kill "$live"
ended "$live" 143 "its user goes"

# What would be lost.
expect 0 "a ring for a name" "$SHMRING" create named
expect 0 "a name" "$SHMRING" sub --name archive --no-follow named
seq 1 10 | "$SHMRING" pub unread
expect 0 "without --force" "$SHMRING" rm --unused --verbose
check "a name is kept" grep -q "^kept named (.*consumer 'archive'" out
check "and what nobody has read" grep -q '^kept unread (.*10 messages, and no consumer' out
check "the other one goes" grep -q '^removed live$' out
expect 0 "by name" "$SHMRING" rm --unused --force named
check "one alone" [ "$(cat out)" = "removed named" ]

# Directories, other files, and what a killed remover left.
mkdir other
echo text >other/text
ln -s "$rings/unread" other/link
expect 0 "a ring elsewhere" "$SHMRING" create ./other/ring
mv other/ring other/.shmring-removing-1-ring
expect 0 "ls passes over what is half removed" "$SHMRING" ls --all other
check "so it does" sh -c '! grep -q removing out'
expect 0 "two places" "$SHMRING" rm --unused other unread
check "what is half removed goes" [ "$(cat out)" = "removed other/.shmring-removing-1-ring" ]
# shellcheck disable=SC2012 # our own names
check "what is no ring stays" [ "$(ls -A other | tr '\n' ' ')" = "link text " ]
expect 1 "a file that is named and no ring" "$SHMRING" rm --unused ./other/text
says "is refused" "it is not a ring"
expect 1 "a ring of the broker" "$SHMRING" rm --unused broker:ring
says "too" "the broker keeps its rings"
expect 1 "a ring that is not there" "$SHMRING" rm --unused nothing
expect 2 "--older alone" "$SHMRING" rm --older 1s unread
says "is refused" "--older needs --unused"
check "nothing has happened to the last one" [ "$(ls -A "$rings")" = unread ]
expect 0 "by force" "$SHMRING" rm --unused --force "$rings"

finish
