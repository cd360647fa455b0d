#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-docs: what is written agrees with what is there. Every public function has a manual page and
# every public constant stands in one; every page is installed; links lead somewhere; the C code of
# the README is from the examples, its commands work, twice in a row, and say what it shows; ordering
# edges and tests that the documents name exist.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}" "${CC:=cc}" "${SHMRING:=shmring}"
: "${abs_builddir:=$PWD}"
: "${SHMRINGD:=$abs_builddir/daemon/shmringd}"
. "$abs_srcdir/tests/meta/tap.sh"

# public ROOT: what the public headers say, without comments and without what they include. What is
# only there to be inlined is not for programs.
public() {
	for header in "$1"/include/shmring/*.h; do
		case $header in
		*-inline.h) continue ;;
		esac
		# shellcheck disable=SC2086 # CC may have arguments
		sed '/^#[ \t]*include/d' "$header" | $CC -E -P -dD -x c -
	done
}

functions() {
	public "$1" | tr -d '\n' | grep -o 'shmring_[a-z0-9_]* *(' | tr -d ' (' | sort -u
}

# Those that assert something are not for programs.
constants() {
	public "$1" | grep -o 'SHMRING_[A-Z0-9_]*[A-Z0-9]' | grep -v -e '_H$' -e '^SHMRING_ASSERT' | sort -u
}

# function_pages ROOT: functions without a page of their name that names and declares them. One
# process reads all pages.
function_pages() {
	functions "$1" | awk -v man="$1/man" '
		# read_page(PAGE): its sections go to sections[], where it leads to into leads[].
		function read_page(page,    line, section) {
			if (page in there)
				return
			there[page] = 0
			while ((getline line <(man "/" page)) > 0) {
				there[page] = 1
				if (line ~ /^\.so man3\//)
					leads[page] = substr(line, length(".so man3/") + 1)
				if (line ~ /^\.SH/)
					section = line
				else
					sections[page, section] = sections[page, section] "\n" line " "
			}
			close(man "/" page)
		}
		{
			page = $0 ".3"
			read_page(page)
			target = leads[page]
			if (target != "")
				read_page(page = target)
			if (!there[page]) {
				print $0 ": no page man/" $0 ".3" \
					(target == "" ? "" : ", which leads to man/" target)
				next
			}
			if (sections[page, ".SH NAME"] !~ ("[^A-Za-z0-9_]" $0 "[^A-Za-z0-9_]"))
				print $0 ": not named by " page
			if (index(sections[page, ".SH SYNOPSIS"], $0 "(") == 0)
				print $0 ": not declared by " page
		}'
}

# constant_pages ROOT: constants that no page mentions.
constant_pages() {
	cat "$1"/man/*.[37] | grep -o '[A-Za-z0-9_]*SHMRING_[A-Za-z0-9_]*' | sort -u >"$work/mentioned"
	constants "$1" | grep -v -x -F -f "$work/mentioned" | sed 's/$/: in no page/'
}

# listed_pages ROOT: pages that man/local.mk does not list.
listed_pages() {
	sed -n 's/^	man\/\([^ ]*\)\( \\\)\{0,1\}$/\1/p' "$1/man/local.mk" >"$work/listed"
	(cd "$1/man" && printf '%s\n' *.[1-9]) | grep -v -x -F -f "$work/listed" |
		sed 's/$/: not in man\/local.mk/'
}

# lint ROOT: what groff says about the pages written with its man macros.
lint() {
	(cd "$1/man" && grep -L '^\.so ' -- *.[37] | xargs groff -man -ww -z 2>&1)
}

# links ROOT: relative links of the documents that lead nowhere.
links() {
	(cd "$1" && find . -maxdepth 1 -name '*.md' -exec grep -o '](\([^)]*\))' /dev/null {} + &&
		find docs -name '*.md' -exec grep -o '](\([^)]*\))' /dev/null {} +) |
		sed 's/](//; s/)$//; s/#.*//' | sort -u | while IFS=: read -r file target; do
		case $target in
		'' | *://* | mailto:*) continue ;;
		esac
		[ -e "$1/${file%/*}/$target" ] || echo "$file: $target is not there"
	done
}

# copied_code ROOT: blocks of C in the README that are not cut from one of the examples.
copied_code() {
	awk -v blocks="$work/blocks" '
		/^```c$/ { file = blocks "." ++count; next }
		/^```/ { file = "" }
		file { print >file }' "$1/README.md"
	for block in "$work"/blocks.*; do
		found=
		for example in "$1"/examples/*.c; do
			is_part "$block" "$example" && found=yes
		done
		[ "$found" ] || sed 's/^/in no example: /' "$block"
	done
	rm -f "$work"/blocks.*
}

# is_part PART WHOLE: the lines of one file follow each other somewhere in the other.
is_part() {
	awk 'NR == FNR { part = part $0 "\n"; next } { whole = whole $0 "\n" }
		END { exit !(part != "" && index("\n" whole, "\n" part)) }' "$1" "$2"
}

# cut_recipes ROOT: the README's shell blocks marked "run" become files NN.run (NN.broker if a broker
# is started there), and what it shows as their output NN.want.
cut_recipes() {
	rm -rf "$work/recipes"
	mkdir "$work/recipes"
	awk -v out="$work/recipes" '
		/^<!-- run( with a broker)? -->$/ { kind = /broker/ ? "broker" : "run"; next }
		/^<!-- output -->$/ { kind = "want"; next }
		/^```(sh)?$/ && kind {
			n += kind != "want"
			file = sprintf("%s/%02d.%s", out, n, kind)
			kind = ""
			next
		}
		/^```/ { file = "" }
		file { print >file }' "$1/README.md"
}

# matches WANT OUT: the same, where "..." in WANT is any text, and any lines if it stands alone.
matches() {
	awk '
		function pattern(line) {
			if (line == "...")
				return "(.*\n)?"
			gsub(/[][\\.^$*+?(){}|]/, "\\\\&", line)
			gsub(/\\\.\\\.\\\./, "[^\n]*", line)
			return line "\n"
		}
		NR == FNR { want = want pattern($0); next }
		{ out = out $0 "\n" }
		END { exit !(out ~ ("^" want "$")) }' "$1" "$2"
}

# as_user: run a command as a user that has a broker of its own: root's is the machine's.
as_user() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

# end_broker DIRECTORY: a recipe ends its broker, which had that as its runtime directory. One that is
# left is ended here, and named.
end_broker() {
	end_status=0
	# shellcheck disable=SC2013 # these paths have no blanks
	for environ in $(grep -l -z -F -x -e "XDG_RUNTIME_DIR=$1" /proc/[0-9]*/environ 2>/dev/null); do
		pid=${environ#/proc/}
		kill "${pid%/environ}" 2>/dev/null || continue
		echo "the broker still runs: process ${pid%/environ}"
		end_status=1
	done
	return $end_status
}

# run_recipe FILE: its output goes to $work/out.
run_recipe() {
	run_dir=$dir
	run_as=
	if [ "${1##*.}" = broker ]; then
		run_dir=$dir/apart
		run_as=as_user
		cp "$1" "$run_dir/recipe"
		set -- "$run_dir/recipe"
	fi
	# shellcheck disable=SC2086 # run_as is a word or none
	(cd "$run_dir" && unset SHMRING_BROKER &&
		PATH=${SHMRING%/*}:${SHMRINGD%/*}:$PATH XDG_RUNTIME_DIR=$run_dir \
			$run_as timeout 60 sh -e "$1" >"$work/out" 2>&1 </dev/null)
	run_status=$?
	[ -z "$run_as" ] || end_broker "$run_dir" >>"$work/out" || run_status=1
	return $run_status
}

# commands ROOT: what is said when the README's recipes do not work, or not a second time, or have
# another output than it shows. The first that is wrong is the last that is run.
commands() {
	cut_recipes "$1"
	parent=/dev/shm
	[ -w "$parent" ] || parent=$work
	dir=$(mktemp -d "$parent/shmring-docs-XXXXXX") || exit 1
	chmod 711 "$dir"
	mkdir -m 700 "$dir/apart"
	[ "$(id -u)" != 0 ] || chown 65534:65534 "$dir/apart"
	for time in first second; do
		for recipe in "$work"/recipes/*.run "$work"/recipes/*.broker; do
			[ -f "$recipe" ] || continue
			case $recipe in
			*.broker) (as_user "$SHMRINGD" --version) >"$work/out" 2>&1 || continue ;;
			esac
			if ! run_recipe "$recipe"; then
				sed "s/^/the $time time: /" "$recipe" "$work/out"
				break 2
			fi
			want=${recipe%.*}.want
			if [ -f "$want" ] && ! matches "$want" "$work/out"; then
				sed "s/^/the $time time it says: /" "$work/out"
				break 2
			fi
		done
	done
	[ -n "$(find "$work/recipes" -name '*.run')" ] || echo "the README has no commands to run"
	rm -rf "$dir"
}

# edges ROOT: labels of ordering edges in the source that docs/layout.md does not explain, and
# functions in its explanations that are not there.
edges() {
	find "$1/lib" "$1/include" -name '*.[ch]' -exec cat {} + >"$work/source"
	# shellcheck disable=SC2016 # the backquotes are meant
	grep -oE '`\[[A-Z]{4,}\]`' "$1/docs/layout.md" | tr -d '`' | sort -u >"$work/explained"
	grep -oE '\[[A-Z]{4,}\]' "$work/source" | sort -u | grep -v -x -F -f "$work/explained" |
		sed 's/$/: not in docs\/layout.md/'
	grep -oE '[A-Za-z0-9_]+\(' "$work/source" | tr -d '(' | sort -u >"$work/spelled"
	# shellcheck disable=SC2016 # the backquotes are meant
	grep -oE '`[a-z_]+\(\)`' "$1/docs/layout.md" | tr -d '`()' | sort -u |
		grep -v -x -F -f "$work/spelled" | sed 's/$/(): there is no such function/'
}

# named_tests ROOT: tests that docs/failures.md names and that are not there.
named_tests() {
	(cd "$1/tests" && grep -o '^START_TEST([a-z_0-9]*)' -- */*.c) |
		sed 's|^[^/]*/||; s|\.c:START_TEST(|/|; s|)$||' >"$work/tests"
	# shellcheck disable=SC2016 # the backquotes are meant
	grep -oE '`[a-z]+/[a-z]+_[a-z_0-9]+`' "$1/docs/failures.md" | tr -d '`' | sort -u |
		grep -v -x -F -f "$work/tests" | sed 's/$/: there is no such test/'
}

# copied: a copy of what is checked.
copied() {
	mkdir -p "$work/copy/tests"
	for part in README.md docs examples include lib man; do
		cp -R "$abs_srcdir/$part" "$work/copy"
	done
	cp -R "$abs_srcdir/tests/process" "$abs_srcdir/tests/crash" "$work/copy/tests"
	chmod -R u+w "$work/copy"
}

# doctored FILE SED-SCRIPT: the copy with FILE changed, or gone if that says "rm", and nothing else.
doctored() {
	if [ -f "$work/changed" ]; then
		last=$(cat "$work/changed")
		cp "$abs_srcdir/$last" "$work/copy/$last"
		chmod u+w "$work/copy/$last"
	fi
	echo "$1" >"$work/changed"
	if [ "$2" = rm ]; then
		rm "$work/copy/$1"
	else
		sed "$2" "$abs_srcdir/$1" >"$work/copy/$1"
	fi
	echo "$work/copy"
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

tap_plan 28

tap_ok "every function has a page" "$(function_pages "$abs_srcdir")"
tap_ok "every constant stands in a page" "$(constant_pages "$abs_srcdir")"
tap_ok "every page is listed" "$(listed_pages "$abs_srcdir")"
if command -v groff >/dev/null; then
	tap_ok "pages are without warnings" "$(lint "$abs_srcdir")"
else
	tap_ok "pages are without warnings # SKIP groff is not installed" ""
fi
tap_ok "links lead somewhere" "$(links "$abs_srcdir")"
tap_ok "the README's code is from the examples" "$(copied_code "$abs_srcdir")"
tap_ok "the README's commands work" "$(commands "$abs_srcdir")"
tap_ok "every ordering edge is explained" "$(edges "$abs_srcdir")"
tap_ok "the tests that are named exist" "$(named_tests "$abs_srcdir")"

# The checker itself: it finds what there is, is silent about a good copy, and sees what is missing.
tap_ok "finds functions" "$([ "$(functions "$abs_srcdir" | wc -l)" -ge 39 ] || functions "$abs_srcdir")"
tap_ok "finds constants" "$([ "$(constants "$abs_srcdir" | wc -l)" -ge 30 ] || constants "$abs_srcdir")"
copied
copy=$(doctored README.md '')
tap_ok "a good copy is good" "$(
	function_pages "$copy"
	constant_pages "$copy"
	listed_pages "$copy"
	links "$copy" | grep -v -e CONTRIBUTING -e NEWS -e RELEASING -e SECURITY -e LICENSE
)"
tap_caught "a page that is gone" "$(function_pages "$(doctored man/shmring_flush.3 rm)")"
tap_caught "a page that leads nowhere" "$(function_pages "$(doctored man/shmring_flush.3 s/claim/x/)")"
tap_caught "a page that does not declare it" \
	"$(function_pages "$(doctored man/shmring_claim.3 '/int shmring_flush(/d')")"
tap_caught "a function that is new" \
	"$(function_pages "$(doctored include/shmring/producer.h 's/shmring_stage(/shmring_stow(/')")"
tap_caught "a constant that is new" \
	"$(constant_pages "$(doctored include/shmring/consumer.h 's/SHMRING_PINNED/SHMRING_NAILED/')")"
tap_caught "a page that is not listed" "$(listed_pages "$(doctored man/local.mk '/shmring_peek\.3/d')")"
tap_caught "a link to nothing" "$(links "$(doctored docs/testing.md 's/(architecture.md/(x.md/')")"
tap_caught "code that is not from an example" \
	"$(copied_code "$(doctored README.md 's/shmring_join(ring)/shmring_join(r)/')")"
tap_caught "a command that does not work" \
	"$(commands "$(doctored README.md 's/^shmring create /&--size 3 /')")"
tap_caught "a recipe that works only once" \
	"$(commands "$(doctored README.md 's/^shmring rm timed/true/')")"
if (as_user "$SHMRINGD" --version) >/dev/null 2>&1; then
	tap_caught "a recipe that leaves its broker" \
		"$(commands "$(doctored README.md 's/^shmringd --stop.*/true/')")"
else
	tap_ok "a recipe that leaves its broker # SKIP there is no $SHMRINGD" ""
fi
tap_caught "an output that is another one" \
	"$(commands "$(doctored README.md 's/^p99.9  /p99.8  /')")"
tap_caught "an output that is too short" \
	"$(commands "$(doctored README.md 's/^1000 messages$/...\n&\nmore/')")"
tap_caught "an edge that is not explained" "$(edges "$(doctored docs/layout.md 's/\[JOIN\]/JOIN/')")"
tap_caught "a function of an edge that does not exist" \
	"$(edges "$(doctored docs/layout.md 's/read_gate()/read_fate()/')")"
tap_caught "a test that does not exist" \
	"$(named_tests "$(doctored docs/failures.md 's/zombie_counts/ghost_counts/')")"
