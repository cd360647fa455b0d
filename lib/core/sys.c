/* SPDX-License-Identifier: MIT */
/*
 * sys: thin wrappers; see sys.h.
 */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

int64_t shmr_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t shmr_wall_clock(void)
{
	return (uint64_t)read_clock(CLOCK_REALTIME);
}

/* FUTEX_PRIVATE_FLAG is absent on purpose: the sleepers are other processes. */
int shmr_futex_wait(const shm_u32 *word, uint32_t expected, int64_t deadline)
{
	struct timespec t = { .tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND };

	if (FAULT_AROUND(syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, &t, NULL,
				 FUTEX_BITSET_MATCH_ANY)) == 0)
		return 0;
	return -errno;
}

int shmr_cancel_off(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

void shmr_cancel_on(int before)
{
	pthread_setcancelstate(before, NULL);
}

int shmr_sleep(int64_t deadline)
{
	struct timespec t = { .tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND };

	return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int shmr_futex_wait_any(const struct shmr_sleep *sleeps, unsigned count, int64_t deadline)
{
	const struct timespec t = { .tv_sec = deadline / SECOND, .tv_nsec = deadline % SECOND };
	struct futex_waitv waiters[FUTEX_WAITV_MAX];

	for (unsigned i = 0; i < count; i++)
		waiters[i] = (struct futex_waitv){
			.val = sleeps[i].seen,
			.uaddr = (uint64_t)(uintptr_t)sleeps[i].word,
			.flags = FUTEX_32, /* not FUTEX_PRIVATE_FLAG */
		};
	if (syscall(SYS_futex_waitv, waiters, count, 0, &t, CLOCK_MONOTONIC) >= 0)
		return 0;
	return -errno;
}

int shmr_futex_wake(shm_u32 *word)
{
	long woken = FAULT_AROUND(syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));

	return woken < 0 ? -errno : (int)woken;
}

bool shmr_barrier_register(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0 &&
	       syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

bool shmr_barrier(void)
{
	return FAULT_AROUND(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0)) == 0;
}

static int byte_lock(int fd, int command, short type, uint64_t offset, struct flock *ret)
{
	*ret = (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = 1,
	};
	return fcntl(fd, command, ret) < 0 ? -errno : 0;
}

int shmr_lock_byte(int fd, uint64_t offset)
{
	struct flock lock;
	int r = FAULT_AROUND(byte_lock(fd, F_OFD_SETLK, F_WRLCK, offset, &lock));

	return r == -EACCES ? -EAGAIN : r;
}

int shmr_unlock_byte(int fd, uint64_t offset)
{
	struct flock lock;

	return FAULT_AROUND(byte_lock(fd, F_OFD_SETLK, F_UNLCK, offset, &lock));
}

int shmr_probe_byte(int fd, uint64_t offset)
{
	struct flock lock;
	int r = byte_lock(fd, F_OFD_GETLK, F_RDLCK, offset, &lock);

	return r < 0 ? r : lock.l_type != F_UNLCK;
}

int shmr_mark_byte(int fd, uint64_t offset)
{
	struct flock lock;
	int r = byte_lock(fd, F_OFD_SETLK, F_WRLCK, offset, &lock);

	if (r == -EBADF) /* it can only read */
		r = byte_lock(fd, F_OFD_SETLK, F_RDLCK, offset, &lock);
	return r == -EACCES ? -EAGAIN : r;
}

/* A lock of another length is not a lock of the library, and proves nothing. */
int shmr_is_marked_by(int fd, uint64_t offset)
{
	struct flock lock;
	int r = byte_lock(fd, F_OFD_GETLK, F_WRLCK, offset, &lock);

	return r < 0 ? r
		     : lock.l_type == F_UNLCK || lock.l_start != (off_t)offset || lock.l_len != 1;
}

int shmr_probe_bytes_from(int fd, uint64_t offset)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)offset };

	return fcntl(fd, F_OFD_GETLK, &lock) < 0 ? -errno : lock.l_type != F_UNLCK;
}

int shmr_rename_new(int dirfd, const char *from, const char *to)
{
	const unsigned no_replace = 1; /* RENAME_NOREPLACE */

	return syscall(SYS_renameat2, dirfd, from, dirfd, to, no_replace) < 0 ? -errno : 0;
}

int shmr_birth_time(int fd, uint64_t *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) < 0)
		return -errno;
	*ret = 0;
	if (st.stx_mask & STATX_BTIME)
		*ret = (uint64_t)st.stx_btime.tv_sec * SECOND + st.stx_btime.tv_nsec;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int shmr_boot_id(uint8_t ret[16])
{
	char text[64] = "";
	int fd = shmr_fd_above_standard(
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
	unsigned nibbles = 0;
	ssize_t n;

	memset(ret, 0, 16);
	if (fd < 0)
		return -errno;
	n = shmr_read_at(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (n < 0)
		return (int)n;
	for (const char *p = text; *p != '\0' && nibbles < 32; p++) {
		int digit = hex_digit(*p);

		if (digit < 0)
			continue;
		ret[nibbles / 2] = (uint8_t)(ret[nibbles / 2] << 4 | digit);
		nibbles++;
	}
	return 0;
}

int shmr_fd_above_standard(int fd)
{
	int moved, error;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	error = errno;
	close(fd);
	errno = error;
	return moved;
}

/* Up to 256 bytes come whole. */
int shmr_random(void *ret, size_t size)
{
	ssize_t n;

	do
		n = getrandom(ret, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == (ssize_t)size ? 0 : -EIO;
}

bool shmr_fd_leads_to(int fd, const char *name)
{
	const size_t length = strlen(name);
	char link[32], target[64];
	ssize_t n;

	shmr_fd_path(link, fd);
	n = readlink(link, target, sizeof(target));
	if (n < 0)
		return fcntl(fd, F_GETFD) >= 0;
	return (size_t)n == length && memcmp(target, name, length) == 0;
}

/* The number behind `word` in a text, or -1. */
static int64_t number_behind(const char *text, const char *word)
{
	const char *p = strstr(text, word);
	int64_t number = 0;

	if (!p)
		return -1;
	for (p += strlen(word); *p == ' ' || *p == '\t';)
		p++;
	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9' && number < INT32_MAX; p++)
		number = number * 10 + (*p - '0');
	return number;
}

int64_t shmr_eventfd_id(int fd)
{
	char path[40] = "/proc/self/fdinfo/", link[32], text[512];
	ssize_t n = -1;
	int info;

	shmr_fd_path(link, fd);
	strcat(path, strrchr(link, '/') + 1);
	info = shmr_fd_above_standard(open(path, O_RDONLY | O_CLOEXEC));
	if (info >= 0) {
		n = read(info, text, sizeof(text) - 1);
		close(info);
	}
	text[n > 0 ? n : 0] = '\0';
	return number_behind(text, "eventfd-id:");
}

void shmr_fd_path(char ret[32], int fd)
{
	char digits[12];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + fd % 10);
	while ((fd /= 10) != 0);
	strcpy(ret, "/proc/self/fd/");
	strcat(ret, p);
}

int shmr_reopen(int fd, int flags)
{
	char path[32];
	int anew;

	shmr_fd_path(path, fd);
	anew = shmr_fd_above_standard(open(path, flags | O_CLOEXEC));
	return anew < 0 ? -errno : anew;
}

char *shmr_path_of(int fd)
{
	char link[32], target[4096];
	ssize_t n;

	shmr_fd_path(link, fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	return strdup(target);
}

static char *put_hex(char *to, uint64_t number)
{
	char digits[17];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = "0123456789abcdef"[number % 16];
	while ((number /= 16) != 0);
	return stpcpy(to, p);
}

void shmr_hex(char ret[17], uint64_t number)
{
	put_hex(ret, number);
}

void shmr_mapping_path(char ret[64], const void *start, uint64_t size)
{
	char *to = stpcpy(ret, "/proc/self/map_files/");

	to = put_hex(to, (uintptr_t)start);
	*to++ = '-';
	put_hex(to, (uintptr_t)start + size);
}

ssize_t shmr_read_at(int fd, void *buffer, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)buffer + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int shmr_write_at(int fd, const void *buffer, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n =
			pwrite(fd, (const char *)buffer + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}
