#!/bin/sh
# SPDX-License-Identifier: MIT
#
# live-stream: bytes that come through a pipe, a few at a time, and that somebody waits for at the
# other end: what 'tcpdump -U -w -' writes.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter
mkfifo pipe

for size in "" =64K =5 =1; do
	rm -f out.1
	start "$SHMRING" sub --raw --drain live >out.1 &
	sub=$!
	start "$SHMRING" pub "--raw$size" live <pipe &
	pub=$!
	exec 3>pipe
	: >want
	for word in hello ', ' world; do
		printf %s "$word" >&3
		printf %s "$word" >>want
		check "--raw$size: '$word' is there although the pipe stays open" until_true cmp want out.1
	done
	exec 3>&-
	ended "$pub" 0 "the publisher ends with its input"
	ended "$sub" 0 "and the reader"
	same "all is there" want out.1
	expect 0 "remove the ring" "$SHMRING" rm live
done

# It changes nothing, however it was cut.
head -c 5000000 /dev/urandom >many
for size in "" =1000 =32K =4M; do
	start "$SHMRING" sub --raw --drain live >out.1 &
	sub=$!
	"$SHMRING" pub "--raw$size" --wait-consumers 1 live <many
	ended "$sub" 0 "--raw$size: the reader ends"
	same "and has every byte" many out.1
	expect 0 "remove it" "$SHMRING" rm live
done
expect 0 "a ring with small messages" "$SHMRING" create --lane-size 64K live
expect 0 "takes a stream" sh -c 'head -c 50000 many | "$0" pub --raw live' "$SHMRING"
expect 0 "which is read" "$SHMRING" sub --raw --no-follow live
head -c 50000 many >want
same "as it was" want out
expect 1 "but no larger piece than a message" "$SHMRING" pub --raw=64K live many
says "which it says" "--raw: a message of live takes at most"
expect 2 "a piece has a size" "$SHMRING" pub --raw=0 live
expect 0 "remove the small one" "$SHMRING" rm live

# The other forms wait until they know where a message ends.
start "$SHMRING" sub --raw live >out.1 &
sub=$!
start "$SHMRING" pub --blocks 64K live <pipe &
pub=$!
exec 3>pipe
until_true has_producers live 1
printf hello >&3
exec 3>&-
ended "$pub" 0 "blocks: a publisher ends"
until_true test -s out.1
check "and what it had is there then" test "$(cat out.1)" = hello
kill "$sub"
ended "$sub" 143 "the last reader ends"
expect 0 "remove the last ring" "$SHMRING" rm live

finish
