/* SPDX-License-Identifier: MIT */
/*
 * Installed: the peers of this machine that are not part of Linux and libc. configure looks for
 * their development packages (Debian: libqb-dev libck-dev libdpdk-dev libboost-dev libzmq3-dev
 * libnng-dev); those that it does not find are left out.
 */
#include "installed.h"

const struct subject *const more_peers[] = {
#ifdef HAVE_LIBQB
	peer_libqb,
#endif
#ifdef HAVE_CK
	peer_ck,
#endif
#ifdef HAVE_DPDK
	peer_dpdk,
#endif
#ifdef HAVE_BOOST_QUEUE
	peer_boost,
#endif
#ifdef HAVE_ZMQ
	peer_zmq,
#endif
#ifdef HAVE_NNG
	peer_nng,
#endif
	NULL
};
