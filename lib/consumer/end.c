/* SPDX-License-Identifier: MIT */
/*
 * end: the consumer found no message. Is there really none, and may one come?
 *
 * No message comes any more if no producer is left, for a program that asked to be told, or if the
 * ring was removed (peers.h). A producer that has gone may have left messages: the consumer looks
 * once more after it knows (E3 in peers.h). It has to know all lanes for that: in an isolated ring
 * the last lane may have a file that it has not got yet (F2 in lanes.c). And it must still have its
 * place: the zero word that looks like the end of a lane may be payload of a later message.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

int consumer_look_again(struct shmring_consumer *c)
{
	struct tries tries = { 0 };

	do {
		const uint64_t status = c->attachment.status;
		int e;

		if (consumer_look(c))
			return 1;
		e = consumer_keep_place(c, false);
		if (e < 0 || c->attachment.status == status)
			return e;
	} while (shmr_try_again(&tries));
	consumer_break(c);
	return explain(-EBADMSG, "the ring is damaged: this consumer is evicted again and again");
}

int consumer_check_end(struct shmring_consumer *c, bool waits)
{
	int e = shmr_peers_check(&c->end.producers, &c->attachment, waits, &c->counters);
	int found;

	if (e == 0)
		return 0;
	if (!consumer_has_all_files(c))
		return 0;
	found = consumer_look_again(c); /* E3 */
	return found != 0 ? found : shmr_peers_explain(&c->end.producers, &c->attachment, e);
}
