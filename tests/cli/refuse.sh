#!/bin/sh
# SPDX-License-Identifier: MIT
#
# refuse: whatever is no sound ring is refused by every command, with the reason, and not touched.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

mkdir bad
expect 0 "a sound ring" "$SHMRING" create bad/sound
printf 'message\n' | "$SHMRING" pub bad/sound
expect 0 "one to become newer" "$SHMRING" create bad/newer
expect 0 "one to become shorter" "$SHMRING" create bad/shortened
expect 0 "one to become older" "$SHMRING" create bad/older

# damage FILE OFFSET BYTE...: overwrite bytes, given in octal
damage() {
	# shellcheck disable=SC2059 # the bytes are written as escapes
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

: >bad/empty
printf 'x' >bad/one-byte
head -c 65536 /dev/urandom >bad/random
head -c 10000000 /dev/zero >bad/zeros
cp /etc/passwd bad/foreign
head -c 3000 bad/sound >bad/cut-in-the-identity
head -c 65536 bad/sound >bad/cut-behind-the-identity
head -c 1000000 bad/sound >bad/cut-in-a-lane
cp bad/sound bad/copy
cp bad/sound bad/too-long
echo >>bad/too-long
cp bad/sound bad/damaged
damage bad/damaged 40 '\252\252\252\252'
truncate -s 1000000 bad/shortened
damage bad/newer 8 '\2'
damage bad/older 8 '\0'
mkdir bad/directory
mkfifo bad/fifo
ln -s sound bad/symlink
ln -s nowhere bad/dangling
rm bad/sound

# state: what the files are, without reading from what blocks
state() {
	ls -l --time-style=full-iso bad
	cksum bad/*-* bad/empty bad/random bad/zeros bad/foreign bad/copy bad/damaged \
		bad/newer bad/older bad/shortened
}
state >before

# refused NAME FILE PATTERN: every command but rm fails, and says why
refused() {
	expect 1 "stat: $1" "$SHMRING" stat "$2"
	says "stat says why: $1" "$3"
	expect 1 "stat --json: $1" "$SHMRING" stat --json "$2"
	check "stat --json writes nothing: $1" test ! -s out
	expect 1 "sub: $1" "$SHMRING" sub --no-follow "$2"
	says "sub says why: $1" "$3"
	expect 1 "sub --observe: $1" "$SHMRING" sub --observe "$2"
	expect 1 "sub, which may create: $1" "$SHMRING" sub --timeout 1s "$2"
	expect 1 "pub: $1" "$SHMRING" pub --nowait "$2"
	says "pub says why: $1" "$3"
	expect 1 "forget: $1" "$SHMRING" forget "$2" name
}

# foreign NAME FILE PATTERN: rm fails, too
foreign() {
	refused "$@"
	expect 1 "rm: $1" "$SHMRING" rm "$2"
	says "rm says why: $1" "$3"
}

foreign "an empty file" bad/empty "only 0 bytes"
foreign "one byte" bad/one-byte "only 1 bytes"
foreign "random bytes" bad/random "magic\|not a ring"
foreign "zeros" bad/zeros "magic\|not a ring"
foreign "a foreign file" bad/foreign "only\|magic\|not a ring"
refused "a ring cut off in its identity" bad/cut-in-the-identity "copy\|truncated"
refused "a ring cut off behind it" bad/cut-behind-the-identity "copy\|truncated"
refused "a ring cut off in a lane" bad/cut-in-a-lane "copy\|truncated"
refused "a copy of a ring" bad/copy "copy"
refused "a longer copy" bad/too-long "copy\|extended"
refused "a ring that became shorter" bad/shortened "truncated"
refused "a newer format" bad/newer "format\|version"
refused "an older format" bad/older "format\|version"
refused "a damaged identity" bad/damaged "checksum"
foreign "a directory" bad/directory "directory"
foreign "a fifo" bad/fifo "fifo"
foreign "a symbolic link" bad/symlink "symbolic link"
foreign "a dangling link" bad/dangling "symbolic link"
foreign "a device" /dev/null "device"

expect 1 "create does not overwrite" "$SHMRING" create bad/random
says "it says why" "exists"
expect 1 "nor a link" "$SHMRING" create bad/dangling
expect 1 "a ring in no directory" "$SHMRING" create bad/none/ring
expect 1 "stat of nothing" "$SHMRING" stat bad/nothing
says "there is nothing" "no ring .bad/nothing."
expect 1 "stat of a name" "$SHMRING" stat nothing
says "with the path that was looked at, and where to look" \
	"^shmring stat: no ring 'nothing' ($work/shmring/nothing); 'shmring ls' lists the rings$"
expect 1 "pub --no-create" "$SHMRING" pub --no-create ring
expect 1 "sub --no-create" "$SHMRING" sub --no-create ring
expect 1 "sub --observe makes no ring" "$SHMRING" sub --observe ring
expect 1 "sub --no-follow makes no ring" "$SHMRING" sub --no-follow ring
expect 1 "rm of nothing" "$SHMRING" rm bad/nothing
expect 1 "a ring on proc" "$SHMRING" create /proc/ring
[ "$(stat -f -c %T /sys 2>/dev/null)" != sysfs ] ||
	expect 1 "a file of another file system" "$SHMRING" stat /sys/kernel/uevent_seqnum

expect 0 "ls passes over them" "$SHMRING" ls bad
check "and lists none" test ! -s out
says "but counts them" "other files"
expect 0 "ls --all" "$SHMRING" ls --all bad
check "names each" grep -q "^bad/cut-in-a-lane" out
expect 0 "ls --all --json" "$SHMRING" ls --all --json bad
check "with its error" grep -q '"error"' out

state >after
same "none of them was modified" before after

# What was a ring can be removed, although no process can use it any more.
for file in cut-in-the-identity cut-behind-the-identity cut-in-a-lane copy too-long damaged newer older shortened; do
	expect 0 "rm: $file" "$SHMRING" rm bad/$file
	check "it is gone: $file" test ! -e bad/$file
done

finish
