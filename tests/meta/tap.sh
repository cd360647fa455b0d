# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# tap: the few words of TAP that the meta tests speak. Read with `.`.

tap_count=0

# tap_plan N
tap_plan() {
	echo "1..$1"
}

# tap_ok NAME OUTPUT: the case is in order when OUTPUT, what was found wrong, is empty.
tap_ok() {
	tap_count=$((tap_count + 1))
	if [ -z "$2" ]; then
		echo "ok $tap_count - $1"
	else
		echo "not ok $tap_count - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

# tap_caught NAME OUTPUT: the case is in order when something was found.
tap_caught() {
	if [ -n "$2" ]; then
		tap_ok "$1" ""
	else
		tap_ok "$1" "the checker saw nothing wrong"
	fi
}
