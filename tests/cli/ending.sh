#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ending: how pub and sub end, by count, by signal, by a broken pipe, by time, with their ring.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

seq 1 100000 >many
head -n 1000 many >some
expect 0 "a thousand messages" "$SHMRING" pub ring some

for count in 1 7 64 999 1000; do
	expect 0 "--count $count" "$SHMRING" sub --count "$count" ring
	head -n "$count" some >want
	same "exactly $count" want out
done
expect 0 "--no-follow" "$SHMRING" sub --no-follow ring
same "all that is there" some out
expect 0 "--drain after the publisher" "$SHMRING" sub --drain ring
same "all that was published" some out
expect 3 "--timeout" "$SHMRING" sub --timeout 100ms ring
same "all, before the time is over" some out
says "--timeout says so" "no message"
expect 3 "--count that is not reached" "$SHMRING" sub --count 1001 --timeout 50ms ring
expect 0 "--observe --no-follow" "$SHMRING" sub --observe --no-follow ring
same "an observer gets all" some out

# signals
for signal in INT TERM HUP; do
	case $signal in
	INT) number=130 ;;
	TERM) number=143 ;;
	HUP) number=129 ;;
	esac
	rm -f out.1
	start "$SHMRING" sub ring >out.1 &
	sub=$!
	until_true cmp some out.1
	kill "-$signal" "$sub"
	ended "$sub" "$number" "sub ends on SIG$signal"
	same "with every byte on SIG$signal" some out.1

	mkfifo pipe
	start "$SHMRING" pub ring <pipe &
	pub=$!
	exec 3>pipe
	printf 'half a li' >&3
	until_true has_producers ring 1
	kill "-$signal" "$pub"
	ended "$pub" "$number" "pub ends on SIG$signal while it reads"
	exec 3>&-
	rm pipe
done
expect 0 "nothing was half published" "$SHMRING" sub --no-follow ring
same "only what was complete" some out

# in the middle of the work: whole lines, and what is released was written
rm out.1
start "$SHMRING" sub --name worker ring >out.1 &
sub=$!
start "$SHMRING" pub ring many &
pub=$!
until_true test -s out.1
kill -INT "$sub"
ended "$sub" 130 "a busy sub ends on SIGINT"
ended "$pub" 0 "its pub does not mind"
expect 0 "the rest is there" "$SHMRING" sub --name worker --no-follow ring
cat some many >want
cat out.1 out >got
same "no line is cut, missing or twice" want got
expect 0 "forget the worker" "$SHMRING" forget ring worker
expect 0 "remove the ring" "$SHMRING" rm ring

# a full pipe that no process reads
yes 0123456789 | head -n 100000 >lines
expect 0 "much" "$SHMRING" pub ring lines
mkfifo pipe
start "$SHMRING" sub ring >pipe &
sub=$!
exec 3<pipe
until_true has_consumers ring 1
kill -TERM "$sub"
ended "$sub" 143 "sub ends although nobody reads its pipe"
exec 3<&-

# and one whose reader goes away
start "$SHMRING" sub ring >pipe &
sub=$!
head -n 3 <pipe >out.1
ended "$sub" 141 "sub dies of SIGPIPE, as others do"
head -n 3 lines >want
same "head has its lines" want out.1
(trap '' PIPE; exec "$SHMRING" sub ring 2>err >pipe) &
sub=$!
head -n 3 <pipe >out.1
ended "$sub" 1 "where SIGPIPE is ignored, sub fails"
says "and says why" "no process reads"
# and while there is nothing to write
for form in "" --json --latency --observe "--name waiting" --drain; do
	expect 0 "a ring that is idle" "$SHMRING" create --stamps --unread hold idle
	expect 0 "has messages" sh -c 'seq 1 5 | "$0" pub idle' "$SHMRING"
	start "$SHMRING" pub idle <pipe &
	pub=$!
	exec 3>pipe
	until_true has_producers idle 1
	mkfifo quiet
	# shellcheck disable=SC2086 # one option or none
	start "$SHMRING" sub $form idle >quiet &
	sub=$!
	exec 4<quiet
	case $form in
	--latency) until_true has_consumers idle 1 ;;
	*) head -n 2 <&4 >out.1 ;; # which reads all that there is
	esac
	exec 4<&-
	ended "$sub" 141 "an idle sub${form:+ $form} dies of SIGPIPE when its reader has gone"
	exec 3>&-
	ended "$pub" 0 "its pub does not mind"
	rm quiet
	expect 0 "remove it" "$SHMRING" rm idle
done
if [ -w /dev/full ]; then
	status=0
	"$SHMRING" sub --no-follow ring >/dev/full 2>err || status=$?
	check "a full disk is a failure" test "$status" = 1
	says "which says why" "No space left"
fi
rm pipe
check "nobody is left on the ring" has_consumers ring 0
expect 0 "remove it" "$SHMRING" rm ring

# a removed ring
start "$SHMRING" sub ring >out.1 2>err.1 &
sub=$!
until_true has_consumers ring 1
expect 0 "a few" "$SHMRING" pub ring some
expect 0 "remove the ring under a sub" "$SHMRING" rm ring
ended "$sub" 0 "sub ends with its ring"
same "and has read everything" some out.1

# pub, when the ring is full
expect 0 "a ring that holds" "$SHMRING" create --lane-size 64K --unread hold ring
expect 3 "pub --nowait" "$SHMRING" pub --nowait ring many
says "says that it is full" "the ring is full"
says "and how much was published" "[1-9][0-9]* records have been published"
expect 3 "pub --timeout" "$SHMRING" pub --timeout 100ms ring many
start "$SHMRING" pub ring many 2>err.1 &
pub=$!
until_true has_producers ring 1
kill -INT "$pub"
ended "$pub" 130 "pub ends on SIGINT while it waits for room"
start "$SHMRING" pub ring many 2>err &
pub=$!
until_true has_producers ring 1
expect 0 "remove the full ring" "$SHMRING" rm ring
ended "$pub" 1 "pub ends when nobody can ever come"
says "and says so" "no consumer is left"

expect 3 "--wait-consumers --timeout" "$SHMRING" pub --wait-consumers 1 --timeout 50ms ring some
says "names the missing consumer" "fewer than 1 consumer attached"
expect 3 "nor one to be written for" "$SHMRING" pub --while-read --timeout 50ms ring some
says "names the missing consumer, too" "fewer than 1 consumer attached"
start "$SHMRING" pub --wait-consumers 1 ring some &
pub=$!
until_true has_producers ring 1
kill -INT "$pub"
ended "$pub" 130 "pub ends on SIGINT while it waits for consumers"
expect 0 "nothing was published" "$SHMRING" sub --no-follow ring
check "not a byte" test ! -s out
expect 0 "remove the last ring" "$SHMRING" rm ring

finish
