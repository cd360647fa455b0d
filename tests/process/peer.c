/* SPDX-License-Identifier: MIT */
/*
 * The peer as a program of its own, for tests that exec. Its end of the socket
 * is descriptor 3.
 */
#include "peer.h"

int main(void)
{
	return peer_serve(3, NULL);
}
