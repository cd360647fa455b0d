#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-clauses: invariants have a letter or two and a number. Each is defined once, in the first
# comment of the file that it belongs to, as " *  R2 Text ..."; and whatever cites one, in code, models,
# tests or docs, cites one that is defined. Only letters that some file defines are looked at, so O2
# is none; and C11 is the language.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
. "$abs_srcdir/tests/meta/tap.sh"

# files ROOT: all that may define or cite one.
files() {
	(cd "$1" && find lib daemon clients include model tests docs -type f \
		\( -name '*.[ch]' -o -name '*.pml' -o -name '*.inc' -o -name '*.md' \) | sort)
}

# wrong ROOT: ids that are defined twice or nowhere, one line each.
wrong() {
	files "$1" | (cd "$1" && xargs awk '
	function letters(id) {
		sub(/[0-9]+$/, "", id)
		return id
	}
	FNR == 1 {
		head = 1
	}
	head && match($0, /^ \*  ?[A-Z][A-Z]?[1-9][0-9]? [^ ]/) {
		id = $2
		if (id in defined)
			print FILENAME ":" FNR ": " id " is defined in " defined[id] ", too"
		else
			defined[id] = FILENAME ":" FNR
		family[letters(id)] = 1
	}
	/\*\// && FNR > 1 {
		head = 0
	}
	{
		rest = $0
		while (match(rest, /[A-Za-z0-9_]+/)) {
			word = substr(rest, RSTART, RLENGTH)
			rest = substr(rest, RSTART + RLENGTH)
			if (word != "C11" && word ~ /^[A-Z][A-Z]?[1-9][0-9]?$/)
				cited[FILENAME ":" FNR ": " word] = word
		}
	}
	END {
		for (where in cited)
			if (letters(cited[where]) in family && !(cited[where] in defined))
				print where " is defined nowhere"
	}' | sort)
}

# defined ROOT: how many there are.
defined() {
	files "$1" | (cd "$1" && xargs grep -hE '^ \*  ?[A-Z][A-Z]?[1-9][0-9]? [^ ]' | wc -l)
}

# doctored FILE SED-SCRIPT: a copy of what is checked, with FILE changed.
doctored() {
	rm -rf "$work/copy"
	mkdir "$work/copy"
	for part in lib daemon clients include model tests docs; do
		cp -R "$abs_srcdir/$part" "$work/copy"
	done
	chmod -R u+w "$work/copy"
	sed "$2" "$abs_srcdir/$1" >"$work/copy/$1"
	echo "$work/copy"
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

tap_plan 5
tap_ok "each is defined once, and what is cited is defined" "$(wrong "$abs_srcdir")"
tap_ok "finds them" "$([ "$(defined "$abs_srcdir")" -ge 50 ] || defined "$abs_srcdir")"
tap_ok "a good copy is good" "$(wrong "$(doctored lib/core/lane.h '')")"
tap_caught "one that is gone" "$(wrong "$(doctored lib/core/lane.h 's/^ \*  I2 /&/; s/I2 Pub/I20 Pub/')")"
tap_caught "one that is there twice" "$(wrong "$(doctored lib/core/lane.h 's/^ \*  I3 / *  I2 /')")"
