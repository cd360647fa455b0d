#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-usage: synopsis and options of each command's manual page, and its --help, name the same
# options with the same arguments. No command prints text from outside past what makes it harmless.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${SHMRING:=shmring}" "${abs_builddir:=$PWD}"
: "${SHMRINGD:=$abs_builddir/daemon/shmringd}"
. "$abs_srcdir/tests/meta/tap.sh"

# plain: from lines of mdoc that name options to "--name ARGUMENT" and "-x", one a line.
plain() {
	sed -E 's/^\.(Op|It|Nm[ a-z]*)? *//; s/ [|,] Fl /\nFl /g' |
		sed -n -E 's/^Fl Fl /--/p; s/^Fl (.)( .*)?$/-\1/p' |
		sed -E 's/ (Ar|Cm|Ns|Xo|Xc) / /g; s/ (Ar|Cm|Ns) / /g; s/ Op (Ns )?= *(.*)/ [=\2]/
			s/ ?\| ?/|/g; s/ Ns$//; s/\| ?(Ns )?(Cm|Ar) /|/g; s/ +/ /g; s/= /=/; s/ $//' | sort -u
}

# synopsis PAGE, described PAGE: the options that the page has in its synopsis, and in its lists.
synopsis() {
	awk '/^\.Sh/ { in_it = $2 == "SYNOPSIS"; next } in_it && / Fl /' "$1" | plain
}

described() {
	sed -n '/^\.It .*Fl /p' "$1" | plain
}

# helped FILE: those that the output of --help has. What every program of argp has is left out.
helped() {
	sed -n -E 's/^ {2,6}(-[^,]), +--/\1\n--/; s/^ {2,6}--/--/; /^--?[^ ]/p' "$1" |
		sed -E 's/^(--[a-z-]+(\[?=[^ ]*)?|-[^ -]$).*/\1/; s/^(--[a-z-]+)=/\1 /
			s/^(--[a-z-]+)\[/\1 [/' |
		sed -n -E '/^--(help|usage|version)$/d; /^-[?Vh]$/d; /^-/p' | sort -u
}

# differ NAME-OF-A A NAME-OF-B B: options that stand in one of two files only.
differ() {
	comm -23 "$2" "$4" | sed "s/^/$1 only, not in $3: /"
	comm -13 "$2" "$4" | sed "s/^/$3 only, not in $1: /"
}

# page_and_help PAGE HELP: where the three do not agree.
page_and_help() {
	synopsis "$1" >"$work/synopsis"
	described "$1" >"$work/described"
	helped "$2" >"$work/helped"
	differ "--help" "$work/helped" "the synopsis" "$work/synopsis"
	differ "--help" "$work/helped" "the manual" "$work/described"
}

# arguments PAGE HELP: what is no option: RING, [FILE...].
arguments() {
	sed -n -E 's/^ *(Usage|or):.*\[OPTION\.\.\.\]//p' "$2" | tr -d '[].' | tr ' ' '\n' |
		grep '^[A-Z]' | sort -u >"$work/helped"
	awk '/^\.Sh/ { in_it = $2 == "SYNOPSIS"; next } in_it && / Fl / { next }
		in_it && /^\.(Op )?Ar / { sub(/.*Ar /, ""); sub(/ .*/, ""); print }' "$1" |
		sort -u >"$work/synopsis"
	differ "--help" "$work/helped" "the synopsis" "$work/synopsis"
}

# raw_output ROOT: places of the command that print arguments or sentences as they are. What say.c
# and foreign.c do is the way to do it.
raw_output() {
	(cd "$1" && grep -n -E 'argp_error|argp_failure|perror|shmring_explain|fprintf\(stderr' \
		clients/*.c | grep -v -E '^clients/(say|progress)\.c:|strdup\(shmring_explain')
}

# doctored PAGE SED-SCRIPT: a copy of a page, changed.
doctored() {
	sed "$2" "$man/$1" >"$work/page"
	echo "$work/page"
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
man=$abs_srcdir/man
commands=$(sed -n -E 's/^\.Xr (shmring-[a-z]+) 1 ,?$/\1/p' "$man/shmring.1" | sort -u)

tap_plan $((2 * $(echo "$commands" | wc -l) + 9))

for name in $commands; do
	"$SHMRING" "${name#shmring-}" --help >"$work/help.$name"
	tap_ok "$name: synopsis, manual and help have the same options" \
		"$(page_and_help "$man/$name.1" "$work/help.$name")"
	tap_ok "$name: synopsis and help have the same arguments" \
		"$(arguments "$man/$name.1" "$work/help.$name")"
done
if [ -x "$SHMRINGD" ]; then
	"$SHMRINGD" --help >"$work/help.shmringd"
	tap_ok "shmringd: synopsis, manual and help have the same options" \
		"$(page_and_help "$man/shmringd.8" "$work/help.shmringd")"
else
	tap_ok "shmringd: synopsis, manual and help # SKIP there is no $SHMRINGD" ""
fi
tap_ok "nothing from outside is printed as it is" "$(raw_output "$abs_srcdir")"

# The checker itself.
create=$work/help.shmring-create
helped "$create" >"$work/found"
tap_ok "finds options" "$([ "$(wc -l <"$work/found")" -ge 12 ] || cat "$work/found")"
tap_ok "finds their arguments" "$(grep -q -x -e '--lane-size SIZE' "$work/found" || cat "$work/found")"
tap_caught "an option that the synopsis lacks" \
	"$(page_and_help "$(doctored shmring-create.1 '/^.Op Fl Fl lanes/d')" "$create")"
tap_caught "an option that the synopsis invents" \
	"$(page_and_help "$(doctored shmring-create.1 's/^.Op Fl Fl lanes/.Op Fl Fl rooms Ar N\n&/')" "$create")"
tap_caught "an option that is not described" \
	"$(page_and_help "$(doctored shmring-create.1 '/^.It Fl Fl lanes/d')" "$create")"
tap_caught "another argument" \
	"$(page_and_help "$(doctored shmring-create.1 's/^.Op Fl Fl lanes Ar N/.Op Fl Fl lanes/')" "$create")"
tap_caught "an argument that is no option" \
	"$(arguments "$(doctored shmring-create.1 's/^.Ar RING/.Ar RING FILE/; s/^.Ar RING/.Ar RINGS/')" "$create")"
