/* SPDX-License-Identifier: MIT */
/*
 * unchecked: in a build with --enable-handle-checks the public functions of a producer
 * get other names in this library. checked.c has the public ones: each of them takes the
 * handle, calls the function of the other name, and gives the handle back. So the
 * functions call one another without taking it again. Comes before <shmring/producer.h>.
 */
#ifndef SHMRING_PRODUCER_UNCHECKED_H
#define SHMRING_PRODUCER_UNCHECKED_H

#if defined(SHMR_HANDLE_CHECKS) && defined(SHMR_UNCHECKED_NAMES)
#define shmring_abort unchecked_abort
#define shmring_claim unchecked_claim
#define shmring_commit unchecked_commit
#define shmring_discard unchecked_discard
#define shmring_flush unchecked_flush
#define shmring_producer_arm unchecked_producer_arm
#define shmring_producer_counters unchecked_producer_counters
#define shmring_producer_detach unchecked_producer_detach
#define shmring_producer_fd unchecked_producer_fd
#define shmring_producer_memory unchecked_producer_memory
#define shmring_producer_quiet unchecked_producer_quiet
#define shmring_producer_spin unchecked_producer_spin
#define shmring_producer_waitable unchecked_producer_waitable
#define shmring_producer_wake unchecked_producer_wake
#define shmring_publish unchecked_publish
#define shmring_publishv unchecked_publishv
#define shmring_slow1_claim unchecked_slow1_claim
#define shmring_slow1_claim_refused unchecked_slow1_claim_refused
#define shmring_slow1_commit unchecked_slow1_commit
#define shmring_slow1_publish_large unchecked_slow1_publish_large
#define shmring_stage unchecked_stage
#endif

#endif
