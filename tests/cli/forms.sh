#!/bin/sh
# SPDX-License-Identifier: MIT
#
# forms: what goes in comes out, byte for byte, in each of the record forms.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

# through PUB-OPTION SUB-OPTION INPUT: the input, through a ring, to the file out
through() {
	# shellcheck disable=SC2086 # options
	"$SHMRING" sub --drain $2 ring >out 2>err &
	sub=$!
	# shellcheck disable=SC2086 # options
	"$SHMRING" pub $1 --wait-consumers 1 ring <"$3" || return
	wait "$sub" || return
	"$SHMRING" rm ring
}

# round NAME PUB-OPTION SUB-OPTION INPUT
round() {
	check "$1: is carried" through "$2" "$3" "$4"
	same "$1: is unchanged" "$4" out
}

# real text, real names, real bytes
cat /usr/include/*.h /usr/include/linux/*.h >text
find /usr/include /usr/share -type f -print0 2>/dev/null | head -z -n 100000 >names
cat "$(command -v bash || command -v sh)" "$(command -v gdb || command -v ls)" >bytes
: >empty
printf '\n\n\n' >blank
printf 'one\n\ntwo\n\n' >gaps
printf '\0\0a\0\0' >nulls
printf '\3\0\0\0abc\0\0\0\0\0\0\0\0\1\0\0\0\n' >frames
printf 'abc\nlast' >unfinished
printf 'abc\nlast\n' >finished

round "lines of real text" --lines --lines text
round "lines, empty ones" --lines --lines blank
round "lines, some empty" --lines --lines gaps
round "no line at all" --lines --lines empty
round "the default form" "" "" text
round "NUL-terminated names" --null --null names
round "NUL-terminated, empty ones" -0 -0 nulls
round "frames, empty ones" --frames --frames frames
round "no frame at all" --frames --frames empty
for size in 1 100 4096 40K 64K 100000 1MiB 4M; do
	input=bytes
	[ "$size" != 1 ] || input=gaps
	round "blocks of $size" "--blocks $size" --raw "$input"
done
round "no block at all" "--blocks 64K" --raw empty

check "a last line without its end is carried" through --lines --lines unfinished
same "a last line gets its end" finished out

check "lines become frames" through --lines --frames text
cp out text.frames
round "frames of real text" --frames --frames text.frames
check "frames become lines" through --frames --lines text.frames
same "frames became the same lines" text out

# a line larger than any buffer, and as long as the ring takes
head -c 4194304 /dev/zero | tr '\0' x >long
echo >>long
printf 'short\n' >>long
round "a line of half a lane" --lines --lines long

# several inputs, each with its own end
check "three subscribers' ring" "$SHMRING" create ring
expect 0 "several files and standard input" "$SHMRING" pub ring unfinished - gaps
expect 0 "they are read" "$SHMRING" sub --no-follow ring
cat finished gaps >both
same "they come one behind the other" both out
expect 0 "remove it" "$SHMRING" rm ring

# a pipe that writes in bits and pieces
slow_pipe() {
	"$SHMRING" sub --drain ring >out 2>err &
	sub=$!
	dd if=text bs=777 2>/dev/null | "$SHMRING" pub --wait-consumers 1 ring || return
	wait "$sub" && "$SHMRING" rm ring
}
check "small pieces are carried" slow_pipe
same "small pieces: unchanged" text out

finish
