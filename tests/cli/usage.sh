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

wrong "a command is missing"
wrong "no command .nothing" nothing
wrong "unrecognized option" --nothing
wrong "the ring is missing" create
wrong "one ring only" create a b
for size in 0 1 63K 96K 8G x 8X 8MB -1 "" 99999999999999999999; do
	wrong "no power of two" create --lane-size "$size" ring
done
for lanes in 0 65 x 1x -1 ""; do
	wrong "no number from 1 to 64" create --lanes "$lanes" ring
done
wrong "neither 8 nor 64" create --align 16 ring
wrong "neither block nor evict" create --slow down ring
wrong "neither overwrite nor hold" create --unread keep ring
wrong "neither auto nor fence" create --wake up ring
for duration in 0 5 s 1x 1.s .5s -1s "" 99999999999h; do
	wrong "no duration" create --evict-after "$duration" ring
	wrong "no duration" create --max-sleep "$duration" ring
done
for mode in 0 8 1777 rw x ""; do
	wrong "no permission bits" create --mode "$mode" ring
done
wrong "the ring is missing" pub
wrong "no size" pub --blocks 0 ring
wrong "no size" pub --blocks x ring
wrong "no number from 1 to 64" pub --wait-consumers 0 ring
wrong "no number from 1 to 64" pub --wait-consumers 65 ring
wrong "no duration" pub --timeout 5 ring
wrong "requires an argument" pub --blocks
wrong "the ring is missing" sub
wrong "one ring only" sub a b
wrong "neither oldest, now nor resume" sub --from here ring
wrong "needs a --name" sub --from resume ring
wrong "takes no --name" sub --observe --name a ring
wrong "cannot be --pinned" sub --observe --pinned ring
wrong "no number from 1 up" sub --count 0 ring
wrong "no number from 1 up" sub --count -3 ring
wrong "no duration" sub --timeout x ring
wrong "the ring is missing" stat
wrong "one ring only" stat a b
wrong "the ring and the name are needed" forget
wrong "the ring and the name are needed" forget a
wrong "one name only" forget a b c
wrong "the ring is missing" rm
wrong "unrecognized option" ls --nothing
wrong "what to ask is missing" broker
wrong "nothing that the broker can be asked" broker stop
wrong "nothing that the broker can be asked" broker stat stat
check "nothing was made" test ! -e shmring

expect 0 "--version" "$SHMRING" --version
check "says it" grep -q '^shmring [0-9][0-9.]*$' out
expect 0 "--help" "$SHMRING" --help
cp out help
# options_of FILE: the long options that the help in the file names
options_of() {
	grep -o -e '--[a-z][a-z-]*' "$1" | sort -u
}
man=$abs_srcdir/man
for command in create pub sub ls stat forget rm broker; do
	check "--help names $command" grep -q "^  $command " help
	expect 0 "$command --help" "$SHMRING" "$command" --help
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
