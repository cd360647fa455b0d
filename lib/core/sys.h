/* SPDX-License-Identifier: MIT */
/*
 * sys: the system calls that libc has no wrapper for, or no safe one.
 *
 * Everything here returns >= 0 or a negative errno. None of it knows a ring.
 */
#ifndef SHMRING_CORE_SYS_H
#define SHMRING_CORE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "atomic.h"

#pragma GCC visibility push(default)

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. */
int64_t shmr_now(void);
uint64_t shmr_wall_clock(void);

/*
 * Sleep while *word == expected, at most until `deadline` (CLOCK_MONOTONIC).
 * Works on read-only mappings and between processes. Returns 0 when woken,
 * -EAGAIN when the word differed, -ETIMEDOUT or -EINTR.
 */
int shmr_futex_wait(const shm_u32 *word, uint32_t expected, int64_t deadline);

/*
 * A thread that is cancelled while it holds a lock, or is half attached, would leave the
 * others to wait for ever: so it is not cancelled between these two, which nest.
 */
int shmr_cancel_off(void);
void shmr_cancel_on(int before);

/* Sleep until `deadline` (CLOCK_MONOTONIC). 0 or -EINTR. */
int shmr_sleep(int64_t deadline);

/* The same on up to 128 words; -ENOSYS before Linux 5.16. */
struct shmr_sleep {
	const shm_u32 *word;
	uint32_t seen;
};
int shmr_futex_wait_any(const struct shmr_sleep *sleeps, unsigned count, int64_t deadline);

/* Wake all sleepers on the word; returns how many. */
int shmr_futex_wake(shm_u32 *word);

/* Let this process take part in barriers of others; false: it must fence. */
bool shmr_barrier_register(void);

/* Force a full barrier on every registered process. False: refused. */
bool shmr_barrier(void);

/*
 * Open file description locks on single bytes. A lock belongs to the
 * description and lives until its last descriptor and mapping are gone.
 */
int shmr_lock_byte(int fd, uint64_t offset); /* -EAGAIN: another description has it */
int shmr_unlock_byte(int fd, uint64_t offset);

/*
 * Is the byte locked by another description? 1, 0 or a negative errno. Takes
 * nothing, so it disturbs no other process, and works on a read-only descriptor.
 */
int shmr_probe_byte(int fd, uint64_t offset);

/* The same for all bytes from there on. */
int shmr_probe_bytes_from(int fd, uint64_t offset);

/*
 * Is `fd` the description that put a mark (a lock on that byte alone) there? Only if that
 * description is known to live, for example by a mapping. 1, 0 or a negative errno. A mark is
 * a write lock if the description can write: then no other description can put a mark on the
 * same byte, which would make this mark look like another's. Else it is a read lock.
 */
int shmr_mark_byte(int fd, uint64_t offset); /* -EAGAIN: another description has a lock there */
int shmr_is_marked_by(int fd, uint64_t offset);

/* Another name in the same directory. -EEXIST: there is such a file. */
int shmr_rename_new(int dirfd, const char *from, const char *to);

/* Birth time of the inode in nanoseconds; 0: the file system keeps none. */
int shmr_birth_time(int fd, uint64_t *ret);

/* This boot, as 16 bytes; zero after an error. */
int shmr_boot_id(uint8_t ret[16]);

int shmr_random(void *ret, size_t size);

/*
 * Every new descriptor of the library passes through here. A program that was started
 * with closed standard descriptors gets 0, 1 or 2 from the kernel, and what it prints
 * would go into the ring. Such a descriptor is moved to 3 or above; a negative one comes
 * back as it is, with errno untouched. -1 and errno: there is no other number, and the
 * descriptor is closed. tests/meta/check-descriptors.sh finds calls that do without.
 */
int shmr_fd_above_standard(int fd);

/* Does it lead to this, as /proc names it? True also where /proc does not say. */
bool shmr_fd_leads_to(int fd, const char *name);

/*
 * What the kernel numbers eventfds by, while any reference to one exists; -1: it is none, or
 * the kernel (before Linux 5.2) does not say.
 */
int64_t shmr_eventfd_id(int fd);

/* "/proc/self/fd/N", through which a file can be opened again or linked. */
void shmr_fd_path(char ret[32], int fd);

/*
 * A new description of the file of `fd`, opened through /proc with these flags of open(2),
 * and close-on-exec. A descriptor or a negative errno.
 */
int shmr_reopen(int fd, int flags);

/* The file's name as the kernel knows it, for free(); NULL: it has none. */
char *shmr_path_of(int fd);

/* A number in hexadecimal digits. */
void shmr_hex(char ret[17], uint64_t number);

/* "/proc/self/map_files/START-END": opens with CAP_CHECKPOINT_RESTORE only. */
void shmr_mapping_path(char ret[64], const void *start, uint64_t size);

/* pread(2) until `size` bytes or the end of the file; returns how many. */
ssize_t shmr_read_at(int fd, void *buffer, size_t size, off_t offset);

/* pwrite(2) of all `size` bytes. */
int shmr_write_at(int fd, const void *buffer, size_t size, off_t offset);

#pragma GCC visibility pop

#endif
