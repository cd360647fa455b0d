#!/bin/sh
# SPDX-License-Identifier: MIT
#
# rights: a user that may only read a ring can observe and examine it, and nothing else.
# shellcheck disable=SC2086 # $reader is a command with its arguments, or nothing

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

# the prefix that runs a command as a user to which permission bits apply
reader=
[ "$(id -u)" != 0 ] || reader="setpriv --reuid=65534 --regid=65534 --clear-groups"
chmod 711 "$work"
$reader "$SHMRING" --version >out 2>&1 || skip_all "another user cannot run the program"

seq 1 1000 >some
mkdir open
chmod 755 open
ring=$work/open/ring
expect 0 "a ring" "$SHMRING" create --mode 0644 "$ring"
expect 0 "with messages" "$SHMRING" pub "$ring" some
expect 0 "and a name" "$SHMRING" sub --name kept --count 1 "$ring"
chmod 0444 "$ring"

expect 0 "a reader can observe" $reader "$SHMRING" sub --observe --no-follow "$ring"
same "and gets all" some out
expect 0 "and drain" $reader "$SHMRING" sub --observe --drain "$ring"
same "which gets all, too" some out
expect 0 "and look" $reader "$SHMRING" stat --json "$ring"
check "at the kept name" grep -q '"name": "kept"' out
expect 0 "and list" $reader "$SHMRING" ls open
check "it" grep -q '^open/ring ' out
expect 1 "but not be a consumer" $reader "$SHMRING" sub --no-follow "$ring"
says "which names the option that helps" "attach with --observe"
check "and the ring once" sh -c 'test "$(grep -o "$0" err | wc -l)" = 1' "$ring"
expect 1 "nor a producer" $reader "$SHMRING" pub "$ring" some
expect 1 "nor forget" $reader "$SHMRING" forget "$ring" kept

# an observer gets an error when the ring has gone, and follows while it is there
chmod 0644 "$ring"
start "$SHMRING" pub --wait-consumers 2 "$ring" some &
pub=$!
start $reader "$SHMRING" sub --observe "$ring" >out.1 2>err.1 &
sub=$!
until_true cmp some out.1
start "$SHMRING" sub "$ring" >out.2 &
sub2=$!
start "$SHMRING" sub "$ring" >out.3 &
sub3=$!
ended "$pub" 0 "a publisher comes and goes"
cat some some >want
check "an observer follows" until_true cmp want out.1
kill -TERM "$sub2" "$sub3"
ended "$sub2" 143 "one consumer ends"
ended "$sub3" 143 "the other ends"
expect 0 "the ring is removed" "$SHMRING" rm "$ring"
ended "$sub" 0 "and the observer ends"

finish
