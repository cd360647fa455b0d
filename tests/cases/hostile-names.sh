#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hostile-names: names that others chose reach a terminal or a log harmless. Each command, and the
# broker, is given names with escape sequences, newlines, and characters that cannot be seen or that
# turn the direction of writing round; none of them comes out, and no name makes a second line.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
: "${abs_builddir:=$PWD}"
: "${SHMRINGD:=$abs_builddir/daemon/shmringd}"
time_limit 60
enter
command -v jq >/dev/null || skip_all "jq is not installed"

# what must not come out: \033 \177 U+0085 U+009B U+00AD U+061C U+200B U+200F U+202A U+202E U+2028
# U+2029 U+2066 U+2069 U+FEFF U+E0041, bytes that are no UTF-8 (alone, too long, cut off, a surrogate)
printf 'a\033[31m\177\302\205\302\233\302\255\330\234\342\200\213\342\200\217\342\200\252' >name
printf '\342\200\256\342\200\250\342\200\251\342\201\246\342\201\251\357\273\277\363\240\201\201' >>name
printf '\377\300\257\355\240\200\342\200z\nforged  9  9' >>name
evil=$(cat name)
good=$(printf 'gr\303\274n')

# harmless NAME FILE LINES: nothing of it is there, and there are so many lines
harmless() {
	if LC_ALL=C grep -q -a -P '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xf3\xa0|\xff|\xc0|\xed' "$2"; then
		not_ok "$1: harmless" "$(od -c "$2" | head -n 20)"
	else
		ok "$1: harmless"
	fi
	check "$1: UTF-8" iconv -f UTF-8 -t UTF-8 -o converted "$2"
	check "$1: $3 lines, no forged one" sh -c 'test "$(wc -l <"$0")" = "$1" && ! grep "^forged" "$0"' \
		"$2" "$3"
}

# told STATUS LINES NAME COMMAND...: it fails, and what it says is harmless
told() {
	expect_harmless=$3
	told_lines=$2
	told_status=$1
	shift 3
	expect "$told_status" "$expect_harmless" "$@"
	harmless "$expect_harmless" err "$told_lines"
	check "$expect_harmless: says something" grep -q '^shmringd\{0,1\}[a-z ]*: ' err
}

told 1 1 "stat" "$SHMRING" stat "$evil"
told 1 1 "stat of a path" "$SHMRING" stat "./$evil"
told 1 1 "stat below a directory" "$SHMRING" stat "$evil/ring"
told 1 1 "rm" "$SHMRING" rm "$evil"
told 1 1 "pub" "$SHMRING" pub --no-create "$evil"
told 1 1 "sub" "$SHMRING" sub --no-create "$evil"
told 1 1 "create" "$SHMRING" create "$evil/ring"
told 1 1 "forget" "$SHMRING" forget "$evil" name
told 1 1 "ls" "$SHMRING" ls "$evil"
told 1 1 "a ring of the broker" "$SHMRING" stat "broker:$evil"
expect 0 "a ring" "$SHMRING" create ring
told 1 1 "forget a name" "$SHMRING" forget ring "$evil"
told 2 2 "sub with a name" "$SHMRING" sub --name "$evil" ring
expect 1 "pub of a file" "$SHMRING" pub ring "$evil"
harmless "pub of a file" err 1
told 2 2 "no command" "$SHMRING" "$evil"
told 2 2 "no command to help with" "$SHMRING" help "$evil"
for command in create pub sub ls stat forget rm broker; do
	told 2 2 "$command: no option" "$SHMRING" $command "--$evil"
	told 2 2 "$command: no option with an argument" "$SHMRING" $command "--x=$evil"
	told 2 2 "$command: no letter" "$SHMRING" $command "-$(printf '\033')"
done
told 2 2 "an ambiguous option" "$SHMRING" sub "--no=$evil" ring
told 2 2 "too many arguments" "$SHMRING" stat ring "$evil"
told 2 2 "a size" "$SHMRING" create --lane-size "$evil" ring
told 2 2 "a mode" "$SHMRING" create --mode "$evil" ring
told 2 2 "a choice" "$SHMRING" create --slow "$evil" ring
told 2 2 "a duration" "$SHMRING" pub --timeout "$evil" ring
told 2 2 "a number" "$SHMRING" sub --count "$evil" ring
told 2 2 "where to begin" "$SHMRING" sub --from "$evil" ring
told 2 2 "what to ask the broker" "$SHMRING" broker "$evil"
if command -v bash >/dev/null; then
	told 2 2 "the name of the program" bash -c 'exec -a "$1" "$0" --nothing' "$SHMRING" "$evil"
fi

# files with such names, rings and others
mkdir files
echo no >"files/$evil"
expect 0 "ls --all" "$SHMRING" ls --all files
harmless "ls --all" out 3
expect 0 "ls of no ring" "$SHMRING" ls files
harmless "ls of no ring" err 1
expect 0 "ls --all --json" "$SHMRING" ls --all --json files
harmless "ls --all --json" out "$(wc -l <out)"
jq -r '.[0].ring_base64' out | base64 -d >decoded
printf 'files/%s' "$evil" >want
same "the JSON has the name as it is" want decoded
rm "files/$evil"
expect 0 "a ring of such a name" "$SHMRING" create "$evil"
expect 0 "ls" "$SHMRING" ls
harmless "ls" out 4
expect 0 "stat of it" "$SHMRING" stat "$evil"
check "stat: harmless" sh -c '! LC_ALL=C grep -q -a -P "[\\x1b\\x7f]|\\xc2[\\x80-\\x9f]|\\xe2\\x80" out'
check "no forged line" sh -c '! grep "^forged" out'
told 1 1 "it exists" "$SHMRING" create "$evil"
expect 0 "rm of it" "$SHMRING" rm "$evil"
expect 0 "letters of other languages stay" "$SHMRING" create "$good"
expect 0 "ls of them" "$SHMRING" ls
check "as they are" grep -q "^$good  " out
expect 0 "ls --json of them" "$SHMRING" ls --json
check "and exact" sh -c 'test "$(jq -r ".[].ring" out | head -n 1)" = "$0"' "$good"
expect 0 "rm" "$SHMRING" rm "$good"

# a consumer's name in a ring that another process has written into
expect 0 "a consumer with a name" "$SHMRING" sub --name somebody-everybody --no-follow ring
offset=$(LC_ALL=C grep -a -b -o -m 1 somebody-everybody shmring/ring | head -n 1 | cut -d : -f 1)
printf 'x\033[2J\nforged\302\233\377' | dd of=shmring/ring bs=1 seek="$offset" conv=notrunc 2>/dev/null
status=0
"$SHMRING" stat ring >out 2>err || status=$?
cat out err >both
check "stat of a damaged name: harmless" sh -c \
	'! LC_ALL=C grep -q -a -P "[\\x1b\\x7f\\xff]|\\xc2[\\x80-\\x9f]" both && ! grep "^forged" both'
"$SHMRING" stat --json ring >out 2>err || status=$?
cat out err >both
check "stat --json of it: harmless" sh -c '! LC_ALL=C grep -q -a -P "[\\x1b\\x7f\\xff]|\\xc2[\\x80-\\x9f]" both'
expect 0 "rm of the damaged one" "$SHMRING" rm ring

# messages are not names: they go to a pipe or file as they are
printf '%s' "$evil" | "$SHMRING" pub --blocks 1M --timeout 5s ring
"$SHMRING" sub --raw --no-follow ring >out
printf '%s' "$evil" >want
same "messages are not changed" want out
expect 0 "rm of that ring" "$SHMRING" rm ring

# the broker: arguments, its lines, its configuration
if [ -x "$SHMRINGD" ]; then
	printf 'rules = ( { who = "%s"; } );\n' "$evil" >conf
	told 64 1 "shmringd: no option" "$SHMRINGD" "--$evil"
	told 64 1 "shmringd: an option with an argument" "$SHMRINGD" "--socket=$evil"
	told 1 1 "shmringd: a directory" "$SHMRINGD" --socket socket --no-sandbox \
		--directory "$work/conf/$evil"
	told 1 1 "shmringd: a socket" "$SHMRINGD" --socket "$work/conf/$evil" --no-sandbox \
		--directory "$work/rings"
	expect 1 "shmringd: no configuration" "$SHMRINGD" --check-config "$evil"
	harmless "shmringd: no configuration" err 1
	expect 1 "shmringd: a configuration" "$SHMRINGD" --check-config conf
	harmless "shmringd: a configuration" err 1
else
	skip "the broker" "there is no $SHMRINGD"
fi

finish
