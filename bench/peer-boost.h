/* SPDX-License-Identifier: MIT */
/*
 * Boost's message queue for C; negative results and NULL are errors.
 */
#ifndef BENCH_PEER_BOOST_H
#define BENCH_PEER_BOOST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *boost_queue_new(const char *name, size_t count, size_t size);
void boost_queue_free(void *queue, const char *name);
int boost_queue_send(void *queue, const void *data, size_t size);
long boost_queue_receive(void *queue, void *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
