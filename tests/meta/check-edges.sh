#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-edges: every atomic operation that orders something says which edge it belongs to, as
# "[LABEL] pairs with partner()" in its own paragraph or in the comment above its function. The
# partner is a function that exists and carries the label, too, or is itself such a label. "No edge"
# is for what orders nothing. docs/layout.md has a row for each label, and for nothing else.

set -u
: "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}"
. "$abs_srcdir/tests/meta/tap.sh"

# sources ROOT: those that use lib/core/atomic.h or the builtins. Fault points are no protocol, and
# uring.c speaks with the kernel, which carries no labels.
sources() {
	find "$1/lib" "$1/include" "$1/daemon" -name '*.[ch]' | grep -v -e /atomic.h -e /fault.[ch] -e /uring.[ch] | sort
}

# edges FILE...: what is wrong with the labels in them, one line each; or, with LIST=1 in the
# environment, the labels.
edges() {
	awk '
	function complain(line, text) {
		if (!list)
			print file ":" line ": " name "(): " text
	}
	# Remember the labels of a piece of comment, and their partners.
	function take_labels(text,  rest, label) {
		rest = text
		gsub(/\*\//, ".", rest) # a comment ends like a sentence
		gsub(/[ \t]*\n[ \t*\/]*/, " ", rest)
		while (match(rest, /\[[A-Z]+\] *pairs with [^;:.]*/)) {
			label = substr(rest, RSTART + 1, index(substr(rest, RSTART), "]") - 2)
			partners[++pairs] = substr(rest, RSTART, RLENGTH)
			partners[pairs] = substr(partners[pairs], index(partners[pairs], "with ") + 5)
			sub(/, *\[[A-Z]+\] *pairs.*/, "", partners[pairs])
			pair_label[pairs] = label
			pair_where[pairs] = file ":" region
			pair_name[pairs] = name
			carries[name, label] = 1
			seen[label]++
			rest = substr(rest, index(rest, "[" label "]") + length(label) + 2)
		}
	}
	function is_labelled(text) {
		return text ~ /\[[A-Z]+\]/ || text ~ /[Nn]o\n?[ \t*]*edge/
	}
	# A region: a function and the comment that stands directly above it.
	function examine(  i, head, text, paragraph, code) {
		head = ""
		for (i = 1; i < body; i++)
			head = head lines[i] "\n"
		text = head
		for (i = body; i <= count; i++)
			text = text lines[i] "\n"
		take_labels(text)
		paragraph = ""
		for (i = body; i <= count; i++) {
			paragraph = lines[i] ~ /^[ \t]*$/ ? "" : paragraph lines[i] "\n"
			code = lines[i]
			gsub(/\/\*.*\*\/|\/\*.*|^[ \t]*\*.*/, "", code)
			if (code ~ operations && !is_labelled(head) && !is_labelled(paragraph))
				complain(region + i - 1, "no label at: " code)
		}
	}
	# Does the partner carry the label, or the one that belongs to it?
	function answers(partner, label) {
		if (partner ~ /^[A-Z]/)
			return seen[partner]
		if (label == "SLEEP" && (partner, "WAKE") in carries)
			return 1
		if (label == "WAKE" && (partner, "SLEEP") in carries)
			return 1
		return (partner, label) in carries
	}
	function begin_region() {
		count = body = 0
		name = signature = ""
	}
	BEGIN {
		list = ENVIRON["LIST"] != ""
		operations = "(store_release|compare_and_swap(32)?|exchange|fetch_or|fetch_and|" \
			"fetch_add32|fence_full|fence_acquire|fence_release|fence_compiler|" \
			"fence_signal|" \
			"bell_order|load_acquire(32)?|atomic_store)\\(|" \
			"__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)"
	}
	FNR == 1 {
		begin_region()
		file = FILENAME
		sub(/.*\/(lib|include|daemon)\//, "", file)
	}
	{
		if ($0 ~ /^[ \t]*$/ && !body) {
			begin_region()
			next
		}
		if (count == 0)
			region = FNR
		lines[++count] = $0
		if (!body && $0 ~ /^[A-Za-z]/ && name == "" && match($0, /[a-z_0-9]+\(/))
			name = substr($0, RSTART, RLENGTH - 1)
		if ($0 ~ /^[{]/ && name != "") {
			body = count
			}
		if ($0 ~ /^[}]/) {
			if (body)
				examine()
			begin_region()
		}
	}
	END {
		for (label in seen)
			if (list)
				print label
			else if (seen[label] < 2)
				print "[" label "] is at one place only"
		for (i = 1; i <= pairs && !list; i++) {
			found = 0
			rest = partners[i]
			while (match(rest, /[a-z_0-9]+\(\)|\[[A-Z]+\]/)) {
				partner = substr(rest, RSTART, RLENGTH)
				rest = substr(rest, RSTART + RLENGTH)
				gsub(/[][()]/, "", partner)
				found = 1
				if (!answers(partner, pair_label[i]))
					print pair_where[i] ": " pair_name[i] "(): [" pair_label[i] \
						"] pairs with " partner ", which does not say so"
			}
			if (!found)
				print pair_where[i] ": " pair_name[i] "(): [" pair_label[i] \
					"] names no partner"
		}
	}' "$@"
}

# documented FILE: the labels that have a row in the table of edges.
documented() {
	sed -n 's/^| `\[[A-Z].*/&/p' "$1" | cut -d'|' -f2 | grep -o '\[[A-Z]*\]' | tr -d '[]' | sort -u
}

# caught LINE...: what is said of a source that consists of these lines.
caught() {
	file=$(mktemp) || exit 1
	printf '%s\n' "$@" >"$file"
	edges "$file"
	rm -f "$file"
}

tap_plan 10

# shellcheck disable=SC2046 # file names of ours have no blanks
tap_ok "every edge is labelled at both ends" "$(edges $(sources "$abs_srcdir"))"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# shellcheck disable=SC2046
LIST=1 edges $(sources "$abs_srcdir") | sort -u >"$dir/used"
documented "$abs_srcdir/docs/layout.md" >"$dir/documented"
tap_ok "docs/layout.md explains every label" "$(comm -23 "$dir/used" "$dir/documented")"
tap_ok "docs/layout.md explains no other" "$(comm -13 "$dir/used" "$dir/documented")"
tap_caught "there are labels at all" "$(cat "$dir/used")"

# The checker itself.
set -- '/* [A] pairs with g() */' 'void f(void)' '{' '	store_release(w, 1);' '}' ''
tap_ok "allows what is allowed" "$(caught "$@" 'int g(void)' '{' \
	'	return load_acquire(w); /* [A] pairs with f() */' '}')"
tap_caught "a store without a label" "$(caught "$@" 'int g(void)' '{' \
	'	fetch_or(w, 1); /* [A] pairs with f() */' '' '	store_release(w, 0);' '}')"
tap_caught "a partner without the label" "$(caught "$@" '/* [B] pairs with f() */' \
	'int g(void)' '{' '	return load_acquire(w);' '}')"
tap_caught "a partner that does not exist" "$(caught "$@")"
tap_caught "an edge without a partner" "$(caught 'int g(void)' '{' \
	'	return load_acquire(w); /* [A] pairs with the others */' '}')"
tap_caught "an order in the builtins" "$(caught 'int g(void)' '{' \
	'	return __atomic_load_n(w, __ATOMIC_ACQUIRE);' '}')"
