/* SPDX-License-Identifier: MIT */
/*
 * Samples in the text format of Prometheus: a metric, its labels, a value.
 */
#ifndef SHMRING_SAMPLES_H
#define SHMRING_SAMPLES_H

#include <stddef.h>

#define SAMPLE_LABELS 8

struct sample {
	char *metric;
	size_t label_count;
	char *keys[SAMPLE_LABELS];
	char *values[SAMPLE_LABELS]; /* without quotes and backslashes */
	char *value;		     /* a number, as it was written */
};

struct samples {
	char *text; /* everything above points into it */
	struct sample *all;
	size_t count;
};

/*
 * Read all of a descriptor. 0, a negative errno of read(2), -ENOMEM, or -EBADMSG: it
 * is not that format, or has more labels than there is room for.
 */
int samples_read(struct samples *ret, int fd);
void samples_free(struct samples *s);

#endif
