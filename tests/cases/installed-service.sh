#!/bin/sh
# SPDX-License-Identifier: MIT
#
# installed-service: what `make install` puts there is a service that can start. The command line of
# the installed unit is run, below DESTDIR; the configuration is the administrator's after that.

. "${abs_srcdir:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/cli/lib.sh"
: "${abs_builddir:=$PWD}"
time_limit 180
enter
[ -x "$abs_builddir/daemon/shmringd" ] || skip_all "the broker is not built"

root=$work/root
check "make install" cp -a "$abs_builddir/tests/installed" "$root" # see local.mk
# a make of its own, not a part of the one that runs the tests
run_make() {
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -C "$abs_builddir" DESTDIR="$root" "$@" >make.log 2>&1 ||
		{ sed 's/^/# /' make.log; false; }
}

unit=$(find "$root" -name shmringd.service)
line=$(sed -n 's/^ExecStart=//p' "$unit")
conf=$(echo "$line" | sed -n 's/.*--config=\([^ ]*\).*/\1/p')
check "the unit names a configuration" test -n "$conf"
check "which is there" test -f "$root$conf"
check "and everybody may read it" test "$(stat -c %a "$root$conf")" = 644
if command -v systemd-analyze >/dev/null; then
	program=${line%% *}
	sed "s|$program|$root$program|" "$unit" >shmringd.service
	cp "${unit%service}socket" .
	systemd-analyze verify --man=no ./shmringd.service >verified 2>&1
	# without a running systemd it may complain about that, but not about the unit
	check "systemd takes the unit" sh -c '! grep "shmringd\.\(service\|socket\)" verified'
else
	skip "systemd takes the unit" "systemd-analyze is not installed"
fi

# what systemd would do, in other directories, and as this user
line=$(echo "$line" | sed -e "s|^/|$root/|" -e "s|--config=|&$root|" \
	-e "s|/run/shmring|$work/run|g" -e "s|/var/lib/shmring|$work/state|")
libraries=$(dirname "$(find "$root" -name 'libshmring.so.0' | head -n 1)")
mkdir -m 755 run
mkdir -m 700 state
# shellcheck disable=SC2086 # a command with its arguments
start env LD_LIBRARY_PATH="$libraries" $line ${SHMRING_SANITIZED:+--no-sandbox} 2>broker.log &
broker=$!
SHMRING_BROKER=$work/run/broker
export SHMRING_BROKER
check "the broker starts" until_true "$SHMRING" ls broker:

expect 0 "and works" "$SHMRING" create broker:ring
expect 0 "it is reloaded" kill -HUP "$broker"
check "with the same configuration" until_true grep -q 'configuration was read again: rules=0' broker.log
expect 0 "rm" "$SHMRING" rm broker:ring
kill -TERM "$broker"
ended "$broker" 0 "it ends"

check "uninstall removes it" run_make uninstall
check "all of it" test -z "$(find "$root" -type f -o -type l)"
check "install again" run_make install-shmringd-conf
echo '# mine' >>"$root$conf"
cp "$root$conf" mine
check "a configuration that was changed" run_make install-shmringd-conf
same "is not overwritten" mine "$root$conf"
check "nor removed" run_make uninstall-shmringd-conf
same "it stays" mine "$root$conf"

finish
