/* SPDX-License-Identifier: MIT */
/*
 * Messages as they are written: in the record forms of frame.h, bare, or as
 * lines of JSON.
 */
#ifndef SHMRING_EMIT_H
#define SHMRING_EMIT_H

#include <shmring/consumer.h>

#include "out.h"

enum emit_form {
	EMIT_LINES,
	EMIT_NULL,
	EMIT_FRAMES,
	EMIT_RAW,
	EMIT_JSON,
};

/*
 * Add one message that `c` has in hand to `o`. Returns 0, -EMSGSIZE (longer than the form can say)
 * or what out_put() returns.
 */
int emit(struct out *o, enum emit_form form, const struct shmring_consumer *c,
	 const struct shmring_message *m);

#endif
