#!/bin/sh
# SPDX-License-Identifier: MIT
#
# subscribers: every subscriber gets every byte of every publisher, whichever side is started first.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

# enough for several laps of the default lane
cat /usr/include/*.h >text
while [ "$(wc -c <text)" -lt 30000000 ]; do
	cat text text >longer
	mv longer text
done
seq 1 200000 | sed 's/^/a/' >a
seq 1 200000 | sed 's/^/b/' >b

# the example of the manual: three subscribers first, which make the ring
for i in 1 2 3; do
	start "$SHMRING" sub --drain ring >out.$i 2>err.$i &
	eval "sub$i=\$!"
done
until_true has_consumers ring 3
expect 0 "publish a real text" "$SHMRING" pub ring text
for i in 1 2 3; do
	eval "ended \$sub$i 0 'subscriber $i ends when the publisher has gone'"
	same "subscriber $i got every byte" text out.$i
done
expect 0 "the ring stays" "$SHMRING" rm ring

# the publisher first: it makes the ring, and holds it
start "$SHMRING" pub --blocks 64K ring text &
pub=$!
until_true "$SHMRING" stat ring
start "$SHMRING" sub --raw --drain ring >out.1 &
sub1=$!
ended "$pub" 0 "a publisher that came first ends"
ended "$sub1" 0 "its subscriber ends"
same "it got every byte" text out.1
expect 0 "remove it" "$SHMRING" rm ring

# the publisher first, for a known number of subscribers
start "$SHMRING" pub --wait-consumers 3 --blocks 10000 ring text &
pub=$!
for i in 1 2 3; do
	start "$SHMRING" sub --raw --drain ring >out.$i &
	eval "sub$i=\$!"
done
ended "$pub" 0 "a publisher that waited for three ends"
for i in 1 2 3; do
	eval "ended \$sub$i 0 'subscriber $i of three ends'"
	same "subscriber $i of three got every byte" text out.$i
done
expect 0 "remove it, too" "$SHMRING" rm ring

# all at the same moment, on no ring
for i in 1 2 3; do
	start "$SHMRING" sub --count 600000 ring >out.$i &
	eval "sub$i=\$!"
	start "$SHMRING" pub --wait-consumers 3 ring a &
	eval "pub$i=\$!"
done
for i in 1 2 3; do
	eval "ended \$pub$i 0 'publisher $i of a crowd'"
	eval "ended \$sub$i 0 'subscriber $i of a crowd'"
	check "subscriber $i got all of everybody" test "$(wc -l <out.$i)" = 600000
done
expect 0 "remove the crowd's ring" "$SHMRING" rm ring

# the order of each publisher is kept; the one may have ended before the other begins
start "$SHMRING" sub --count 400000 ring >out.1 &
sub1=$!
until_true has_consumers ring 1
start "$SHMRING" pub --wait-consumers 1 ring a &
pub1=$!
start "$SHMRING" pub --wait-consumers 1 ring b &
pub2=$!
ended "$pub1" 0 "one publisher"
ended "$pub2" 0 "another publisher"
ended "$sub1" 0 "their subscriber"
sed -n /^a/p out.1 >out.a
sed -n /^b/p out.1 >out.b
same "the order of the one is kept" a out.a
same "the order of the other is kept" b out.b
expect 0 "remove their ring" "$SHMRING" rm ring

# publishers one after the other, and then a subscriber: it begins with the oldest
head -n 1000 a >some
expect 0 "a short publisher" "$SHMRING" pub ring some
expect 0 "then a long one" "$SHMRING" pub ring b
expect 0 "then a short one" "$SHMRING" pub ring some
expect 0 "and then a subscriber" "$SHMRING" sub --no-follow ring
cat some b some >want
same "it gets all of them" want out
expect 0 "remove what they had" "$SHMRING" rm ring

# what comes through a pipe is seen at once, although the pipe stays open
mkfifo pipe
start "$SHMRING" sub ring >out.1 &
sub1=$!
start "$SHMRING" pub ring <pipe &
pub1=$!
exec 3>pipe
for word in first second third; do
	echo "$word" >&3
	check "an interactive line is there at once: $word" until_true grep -q "$word" out.1
done
exec 3>&-
ended "$pub1" 0 "the interactive publisher ends"
kill -TERM "$sub1"
ended "$sub1" 143 "its subscriber ends"
expect 0 "remove the interactive ring" "$SHMRING" rm ring

finish
