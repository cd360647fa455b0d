/* SPDX-License-Identifier: MIT */
/*
 * keeper-words: what the broker and the process that keeps descriptors say to each
 * other. One packet is one word, with a descriptor or without.
 *
 *	LISTEN	the socket at which later brokers come, and the directory that it lies in
 *	PUT	keep this descriptor; its serial number is higher than those of all words
 *		before it. One that is kept already gets the new number.
 *	DROP	let go of the descriptor of that file
 *	GET	answered by ITEM for each descriptor, with its serial number, and END
 *	BEGIN	what follows is all there is: what is not put again ...
 *	COMMIT	... between these two words is dropped at the second one
 *
 * A broker of an earlier version leaves reserved fields zero and knows no BEGIN; a keeper
 * of an earlier version ignores BEGIN and COMMIT.
 */
#ifndef DAEMON_KEEPER_WORDS_H
#define DAEMON_KEEPER_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* The socket's name in the broker's directory, and while it gets there. */
#define KEEPER_NAME ".keeper"
#define KEEPER_NEW_NAME ".keeper.new"

enum word_type {
	WORD_LISTEN = 1,
	WORD_PUT,
	WORD_DROP,
	WORD_GET,
	WORD_ITEM,
	WORD_END,
	WORD_BEGIN,
	WORD_COMMIT,
};

struct word {
	uint32_t type;
	uint32_t reserved;
	uint64_t device, inode; /* of the descriptor; of LISTEN, of the socket's name */
	uint64_t serial;
};

/* Send it with up to two descriptors (-1: none). 0 or a negative errno; flags of send(2). */
int word_say(int socket, const struct word *w, int fd, int second, int flags);

/*
 * Receive one; *ret_fd and *ret_second are the caller's, or -1. 1: there is one; 0: the
 * other side is gone, or talks nonsense; -EAGAIN: none is there yet.
 */
int word_hear(int socket, struct word *ret, int *ret_fd, int *ret_second);

/* Does the process at the other end belong to the user of this process? */
bool word_is_own_user(int socket);

#endif
