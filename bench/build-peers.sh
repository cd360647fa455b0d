#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build-peers.sh SOURCE PROGRAM FILE...: build the bench from the FILEs and those peers that are
# installed. The environment has CC, CXX, LIBTOOL, CFLAGS, LIBS.

set -eu
source=$1 program=$2
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
found=

# peer NAME MACRO FILES FLAGS HEADER...: compile a peer's files if its headers are there.
peer() {
	name=$1 macro=$2 files=$3 flags=$4
	shift 4
	compiler="$CC -x c"
	[ "$name" != boost ] || compiler="$CXX -x c++"
	# shellcheck disable=SC2086 # the compiler and flags are lists
	if ! printf '#include <%s>\n' "$@" | $compiler $flags -fsyntax-only - 2>"$dir/log"; then
		echo "bench-peers: $name is not installed"
		return
	fi
	for file in $files; do
		# shellcheck disable=SC2086
		case $file in
		*.cpp) $CXX -O2 -c "$source/bench/$file" -o "$dir/$file.o" ;;
		*) $CC $CFLAGS $flags -c "$source/bench/$file" -o "$dir/$file.o" ;;
		esac
	done
	found="$found -D$macro"
	LIBS="$LIBS $(pkg-config --libs "$name" 2>/dev/null || true)"
}

flags_of() {
	pkg-config --cflags "$1" 2>/dev/null || true
}

peer libqb HAVE_LIBQB peer-libqb.c "$(flags_of libqb)" qb/qbrb.h
peer ck HAVE_CK peer-ck.c "$(flags_of ck)" ck_ring.h
peer libdpdk HAVE_DPDK peer-dpdk.c "$(flags_of libdpdk)" rte_ring.h
peer boost HAVE_BOOST_QUEUE "peer-boost.c peer-boost.cpp" "" \
	boost/interprocess/ipc/message_queue.hpp
peer libzmq HAVE_ZMQ peer-zmq.c "$(flags_of libzmq)" zmq.h
peer nng HAVE_NNG peer-nng.c "$(flags_of nng)" nng/nng.h
case $found in *HAVE_NNG*) LIBS="$LIBS -lnng" ;; esac
case $found in *HAVE_BOOST_QUEUE*) LIBS="$LIBS -lstdc++" ;; esac

for file in "$@" installed.c pool.c; do
	# shellcheck disable=SC2086
	$CC $CFLAGS $found -c "$source/bench/${file##*/}" -o "$dir/${file##*/}.o"
done
# shellcheck disable=SC2086
$LIBTOOL --quiet --tag=CC --mode=link $CC $CFLAGS -o "$program" "$dir"/*.o $LIBS
