#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: wrong command lines end with status 2 and do nothing; help and manual agree.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
time_limit 60
enter

# wrong PATTERN ARGUMENT...
wrong() {
	pattern=$1
	shift
	expect 2 "wrong: shmring $*" "$SHMRING" "$@"
	says "it says: $pattern" "$pattern"
}

wrong "missing argument COMMAND"
wrong "no command .nothing" nothing
wrong "did you mean .create." creat
wrong "did you mean .stat." sta
wrong "did you mean .--lane-size." create --lane-sise 1M ring
wrong "did you mean .--no-follow." sub --nofollow ring
wrong "is ambiguous" sub --no ring
wrong "unrecognized option .-x." stat -x ring
wrong "unrecognized option" --nothing
wrong "missing argument RING" create
wrong "unexpected argument .b." create a b
for size in 0 1 63K 96K 8G x 8X 8MB -1 "" 99999999999999999999; do
	wrong "must be a power of two between 64K and 4G" create --lane-size "$size" ring
done
for lanes in 0 65 x 1x -1 ""; do
	wrong "must be a number from 1 to 64" create --lanes "$lanes" ring
done
wrong "must be 8 or 64" create --align 16 ring
wrong "must be block or evict" create --slow down ring
wrong "must be a size" create --evict-lag 2s ring
wrong "must be a duration" create --evict-lag-time 4M ring
wrong "must be a size or a duration" sub --max-lag far ring
wrong "is 4 bytes, and the least is 4K; give a size such as 4M, or a duration such as 2s" \
	sub --max-lag 4 ring
wrong "the least is 4K" sub --max-lag 4095 ring
wrong "the least is 4K" sub --max-lag 0 ring
wrong "the least duration is 1ms; give one such as 500ms or 2s" sub --max-lag 4us ring
wrong "--max-lag 25h: the longest duration is one day" sub --max-lag 25h ring
wrong "--evict-lag-time 25h: the longest duration is one day" create --evict-lag-time 25h ring
wrong "is 4 bytes, and the least is 4K; give a size such as" create --evict-lag 4 ring
wrong "the least duration is 1ms" create --evict-lag-time 999us ring
wrong "holds no producer back" sub --observe --max-lag 4M ring
wrong "must be hold or overwrite" create --unread keep ring
wrong "must be auto or fence" create --wake up ring
for duration in s 1x 1.s .5s -1s "" 99999999999h; do
	wrong "must be a duration" create --evict-after "$duration" ring
	wrong "must be a duration" create --max-sleep "$duration" ring
done
wrong "needs a unit, e.g. 5s" create --evict-after 5 ring
wrong "must be longer than 0" create --evict-after 0 ring
wrong "must be longer than 0" create --max-sleep 0s ring
for mode in 0 8 1777 rw x ""; do
	wrong "must be permission bits" create --mode "$mode" ring
done
wrong "missing argument RING" pub
wrong "must be a size" pub --blocks 0 ring
wrong "must be a size" pub --blocks x ring
wrong "must be a number from 1 to 64" pub --wait-consumers 0 ring
wrong "must be a number from 1 to 64" pub --wait-consumers 65 ring
wrong "needs a unit, e.g. 5s" pub --timeout 5 ring
wrong "requires an argument" pub --blocks
wrong "missing argument RING" sub
wrong "unexpected argument .b." sub a b
wrong "must be oldest, now or resume" sub --from here ring
wrong "needs a --name" sub --from resume ring
wrong "takes no --name" sub --observe --name a ring
wrong "cannot be --pinned" sub --observe --pinned ring
wrong "must be a number, at least 1" sub --count 0 ring
wrong "must be a number, at least 1" sub --count -3 ring
wrong "must be a duration" sub --timeout x ring
wrong "missing argument RING" stat
wrong "unexpected argument .b." stat a b
wrong "missing argument RING" forget
wrong "missing argument NAME" forget a
wrong "unexpected argument .c." forget a b c
wrong "missing argument RING" rm
wrong "unrecognized option" ls --nothing
wrong "missing argument: stat" broker
wrong "unexpected argument .stop." broker stop
wrong "unexpected argument .stat." broker stat stat
check "nothing was made" test ! -e shmring

expect 0 "--version" "$SHMRING" --version
check "says it" grep -q '^shmring [0-9][0-9.]*$' out
expect 0 "--help" "$SHMRING" --help
cp out help
check "it lists -h" grep -q '^  -h  *The same as --help$' help
for word in -h help; do
	expect 0 "$word" "$SHMRING" $word
	same "$word is --help" help out
done
expect 0 "help of a command" "$SHMRING" help create
cp out help.create
expect 0 "create -h" "$SHMRING" create -h
same "is the same" help.create out
expect 2 "help of no command" "$SHMRING" help nothing
# options_of FILE: the long options that the help in the file names
options_of() {
	grep -o -e '--[a-z][a-z-]*' "$1" | sort -u
}
man=$abs_srcdir/man
for command in create pub sub ls stat forget rm broker; do
	check "--help names $command" grep -q "^  $command " help
	expect 0 "$command --help" "$SHMRING" "$command" --help
	check "it lists -h" grep -q '^  -h  *The same as --help$' out
	expect 0 "$command --version" "$SHMRING" "$command" --version
	"$SHMRING" "$command" --help >help.$command
	missing=
	for option in $(options_of help.$command); do
		case $option in
		--help | --usage | --version) page=$man/shmring.1 ;;
		*) page=$man/shmring-$command.1 ;;
		esac
		grep -q -e "Fl Fl ${option#--}\( \|\$\)" "$page" || missing="$missing $option"
	done
	if [ -z "$missing" ]; then
		ok "shmring-$command(1) has every option"
	else
		not_ok "shmring-$command(1) has every option" "$missing"
	fi
	invented=
	# shellcheck disable=SC2013 # options have no blanks
	for option in $(sed -n 's/^\.It .*Fl Fl \([a-z-]*\).*/\1/p' "$man/shmring-$command.1"); do
		grep -q -e "--$option\([^a-z-]\|\$\)" help.$command || invented="$invented $option"
	done
	if [ -z "$invented" ]; then
		ok "shmring-$command(1) has no other option"
	else
		not_ok "shmring-$command(1) has no other option" "$invented"
	fi
done

for page in "$man"/shmring.1 "$man"/shmring-*.1; do
	if command -v mandoc >/dev/null; then
		check "mandoc takes ${page##*/}" mandoc -Tlint -Wwarning "$page"
	else
		skip "mandoc takes ${page##*/}" "mandoc is not installed"
	fi
	if command -v groff >/dev/null; then
		check "groff takes ${page##*/}" sh -c '[ -z "$(groff -mandoc -ww -z "$0" 2>&1)" ]' "$page"
	else
		skip "groff takes ${page##*/}" "groff is not installed"
	fi
done

finish
