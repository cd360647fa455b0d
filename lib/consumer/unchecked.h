/* SPDX-License-Identifier: MIT */
/*
 * unchecked: in a build with --enable-handle-checks the public functions of a consumer
 * get other names in this library. checked.c has the public ones: each of them takes the
 * handle, calls the function of the other name, and gives the handle back. So the
 * functions call one another without taking it again. Comes before <shmring/consumer.h>.
 */
#ifndef SHMRING_CONSUMER_UNCHECKED_H
#define SHMRING_CONSUMER_UNCHECKED_H

#if defined(SHMR_HANDLE_CHECKS) && defined(SHMR_UNCHECKED_NAMES)
#define shmring_consumer_arm unchecked_consumer_arm
#define shmring_consumer_counters unchecked_consumer_counters
#define shmring_consumer_detach unchecked_consumer_detach
#define shmring_consumer_fd unchecked_consumer_fd
#define shmring_consumer_memory unchecked_consumer_memory
#define shmring_consumer_missed unchecked_consumer_missed
#define shmring_consumer_quiet unchecked_consumer_quiet
#define shmring_consumer_spin unchecked_consumer_spin
#define shmring_consumer_waitable unchecked_consumer_waitable
#define shmring_consumer_watermark unchecked_consumer_watermark
#define shmring_message_lost unchecked_message_lost
#define shmring_message_stamp unchecked_message_stamp
#define shmring_message_tenancy unchecked_message_tenancy
#define shmring_next_length unchecked_next_length
#define shmring_peek unchecked_peek
#define shmring_peek_batch unchecked_peek_batch
#define shmring_receive unchecked_receive
#define shmring_release unchecked_release
#define shmring_release_first unchecked_release_first
#define shmring_rewind unchecked_rewind
#define shmring_slow1_peek unchecked_slow1_peek
#define shmring_slow1_release unchecked_slow1_release
#endif

#endif
