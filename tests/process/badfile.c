/* SPDX-License-Identifier: MIT */
/*
 * Files that are not sound rings: refused with an error that says why, and
 * never modified, by shmring_open() and by shmring_remove().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

/* The whole of a file, and when it was last changed. */
struct image {
	unsigned char *bytes;
	size_t size;
	struct stat st;
};

static void image_read(struct image *image, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(fstat(fd, &image->st), 0);
	image->size = (size_t)image->st.st_size;
	image->bytes = malloc(image->size + 1);
	ck_assert_ptr_nonnull(image->bytes);
	ck_assert_int_eq(pread(fd, image->bytes, image->size, 0), (ssize_t)image->size);
	close(fd);
}

static void image_write(const struct image *image, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, image->bytes, image->size, 0), (ssize_t)image->size);
	close(fd);
}

/* Overwrite in place: the file stays the same inode. */
static void image_restore(const struct image *image, const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, image->bytes, image->size, 0), (ssize_t)image->size);
	close(fd);
}

/* Neither a byte nor the time of the last change differs. */
static void expect_untouched(const struct image *before, const char *path)
{
	struct image after;

	image_read(&after, path);
	ck_assert_uint_eq(after.size, before->size);
	ck_assert_int_eq(memcmp(after.bytes, before->bytes, before->size), 0);
	ck_assert_int_eq(after.st.st_mtim.tv_sec, before->st.st_mtim.tv_sec);
	ck_assert_int_eq(after.st.st_mtim.tv_nsec, before->st.st_mtim.tv_nsec);
	ck_assert_uint_eq(after.st.st_blocks, before->st.st_blocks);
	free(after.bytes);
}

/* It does not open, and the error says why. */
static void expect_refused(const char *path, int error)
{
	struct shmring_ring *r;

	must_fail(error, shmring_open(&r, path));
	ck_assert_uint_gt(strlen(shmring_explain()), 10);
}

/* A file that is no ring is not removed, either. */
static void expect_foreign(const char *path, int error)
{
	expect_refused(path, error);
	must_fail(error, shmring_remove(path));
}

/* A regular file with this content is no ring. */
static void expect_content_refused(const void *bytes, size_t size)
{
	struct image image = { .bytes = (unsigned char *)(uintptr_t)bytes, .size = size };
	const char *path = room_path("content");
	struct image before;

	image_write(&image, path);
	image_read(&before, path);
	expect_foreign(path, EBADMSG);
	expect_untouched(&before, path);
	free(before.bytes);
}

/* The path of a sound ring, and its content. */
static const char *make_ring(struct image *image)
{
	struct shmring_config config = small_config();

	shmring_close(ring_create(&config));
	image_read(image, room_path("ring"));
	return room_path("ring");
}

START_TEST(foreign_content_is_refused)
{
	uint64_t seed = random_seed(), *noise = malloc(1 << 20);
	static char zeros[1 << 20];

	for (size_t i = 0; i < (1 << 20) / sizeof(*noise); i++)
		noise[i] = random_next(&seed);
	expect_content_refused("", 0);
	expect_content_refused("x", 1);
	expect_content_refused("a text, that somebody might have put there\n", 43);
	expect_content_refused("\x7f"
			       "ELF\2\1\1",
			       7);
	expect_content_refused(zeros, 100);
	expect_content_refused(zeros, 4096);
	expect_content_refused(zeros, sizeof(zeros));
	expect_content_refused(noise, 4096);
	expect_content_refused(noise, 1 << 20);
	free(noise);
}
END_TEST

START_TEST(truncated_ring_is_refused)
{
	struct image whole, part;
	const char *path = make_ring(&whole);
	const size_t sizes[] = { 0,
				 1,
				 64,
				 4095,
				 4096,
				 8192,
				 65535,
				 65536,
				 whole.size / 2,
				 whole.size - 4096,
				 whole.size - 1 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ck_assert_int_eq(truncate(path, (off_t)sizes[i]), 0);
		image_read(&part, path);
		expect_refused(path, EBADMSG);
		expect_untouched(&part, path);
		free(part.bytes);
		ck_assert_int_eq(truncate(path, (off_t)whole.size), 0);
		image_restore(&whole, path);
	}
	free(whole.bytes);
}
END_TEST

START_TEST(ring_that_grew_is_refused)
{
	struct image whole;
	const char *path = make_ring(&whole);

	ck_assert_int_eq(truncate(path, (off_t)whole.size + 65536), 0);
	expect_refused(path, EBADMSG);
	free(whole.bytes);
}
END_TEST

START_TEST(copy_of_a_ring_is_refused)
{
	struct image whole;
	const char *copy = room_path("copy"), *disk = room_disk_path("copy");

	make_ring(&whole);
	image_write(&whole, copy);
	image_write(&whole, disk);
	expect_refused(copy, ESTALE);
	expect_refused(disk, ESTALE);
	free(whole.bytes);
}
END_TEST

/* If any bit of the identity changes, the ring is refused. */
START_TEST(every_flipped_bit_of_the_identity_is_noticed)
{
	struct image whole, damaged;
	const char *path = make_ring(&whole);
	struct shmring_ring *r;
	int result;

	for (size_t bit = (size_t)_i; bit < 128 * 8; bit += 8) {
		damaged = whole;
		damaged.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		image_restore(&damaged, path);
		result = shmring_open(&r, path);
		if (result == 0)
			ck_abort_msg("bit %zu of byte %zu does not matter", bit % 8, bit / 8);
		ck_assert_msg(result == -EBADMSG || result == -EPROTONOSUPPORT || result == -ESTALE,
			      "%s at byte %zu", strerrorname_np(-result), bit / 8);
		ck_assert_str_ne(shmring_explain(), "");
		whole.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	image_restore(&whole, path);
	must(shmring_open(&r, path));
	shmring_close(r);
	free(whole.bytes);
}
END_TEST

/* Any content of the first page gives an error or a ring, never a crash. */
START_TEST(no_content_crashes_the_opener)
{
	uint64_t seed = random_seed() + (uint64_t)_i;
	struct image whole, damaged;
	const char *path = make_ring(&whole);
	struct shmring_ring *r;

	damaged = whole;
	damaged.bytes = malloc(whole.size);
	for (int round = 0; round < 300; round++) {
		memcpy(damaged.bytes, whole.bytes, whole.size);
		for (uint64_t n = 1 + random_below(&seed, 8); n > 0; n--)
			damaged.bytes[random_size(&seed, 0, 4095)] =
				(unsigned char)random_next(&seed);
		image_restore(&damaged, path);
		if (shmring_open(&r, path) == 0)
			shmring_close(r);
		else
			ck_assert_str_ne(shmring_explain(), "");
	}
	free(damaged.bytes);
	free(whole.bytes);
}
END_TEST

/* The same for everything behind the identity, while a consumer reads. */
START_TEST(no_content_crashes_a_reader)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_consumer *o = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	uint64_t seed = random_seed() + (uint64_t)_i, noise;
	struct shmring_message m;
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	int fd = must(shmring_fd(r)), result = 0;
	off_t where;

	must(shmring_stat(r, &st));
	publish_numbers(p, 1, 0, 60, 1000);
	for (int round = 0; round < 2000; round++) {
		noise = random_next(&seed);
		where = (off_t)random_below(&seed, st.file_size - 65536 - 8) + 65536;
		ck_assert_int_eq(pwrite(fd, &noise, 1 + noise % 8, where), 1 + noise % 8);
		result = shmring_peek(c, SHMRING_NOWAIT, &m);
		if (result == 0)
			shmring_release(c);
		result = shmring_peek(o, SHMRING_NOWAIT, &m);
		shmring_stat_lane(r, (unsigned)round % 4, &lane);
		shmring_stat_consumer(r, (unsigned)round % 64, &consumer);
	}
	shmring_consumer_detach(o);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Attach in every role, and leave. */
static void try_every_role(struct shmring_ring *r)
{
	struct shmring_consumer_options options = { .size = sizeof(options) };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_message m;

	if (shmring_producer_attach(&p, r, NULL) == 0) {
		shmring_publish(p, "noise", 5, SHMRING_NOWAIT);
		shmring_producer_detach(p);
	}
	for (unsigned i = 0; i < 4; i++) {
		options.start = i & 1 ? SHMRING_START_NOW : SHMRING_START_OLDEST;
		options.flags = i & 2 ? SHMRING_OBSERVE : 0;
		if (shmring_consumer_attach(&c, r, &options) == 0) {
			if (shmring_peek(c, SHMRING_NOWAIT, &m) == 0)
				shmring_release(c);
			shmring_consumer_detach(c);
		}
	}
	options.flags = 0;
	options.name = "name";
	if (shmring_consumer_attach(&c, r, &options) == 0)
		shmring_consumer_detach(c);
	shmring_reap(r);
	shmring_forget(r, "name");
}

/* A process that attaches to a ring full of noise gets an answer. */
START_TEST(no_content_crashes_or_delays_an_attach)
{
	uint64_t seed = random_seed() + (uint64_t)_i, noise[64];
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;
	off_t where;
	int fd;

	for (int round = 0; round < 20; round++) {
		r = way_create(WAY_PASSED_EXEC, &config);
		must(shmring_stat(r, &st));
		fd = (int)must(shmring_fd(r));
		p = producer_attach(r);
		publish_numbers(p, 1, 0, 200, 1000);
		shmring_producer_detach(p);
		shmring_consumer_detach(consumer_attach(r, "name", 0, 0));
		for (int i = 0; i < 20; i++) {
			for (unsigned k = 0; k < 64; k++)
				noise[k] = random_next(&seed) >> random_below(&seed, 64);
			where = (off_t)random_below(&seed, (st.file_size - 65536) / 512 - 1) * 512;
			ck_assert_int_eq(pwrite(fd, noise, sizeof(noise), where + 65536),
					 sizeof(noise));
		}
		try_every_role(r);
		shmring_close(r);
	}
}
END_TEST

START_TEST(irregular_file_is_refused)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(mkdir(room_path("directory"), 0700), 0);
	ck_assert_int_eq(mkfifo(room_path("fifo"), 0600), 0);
	ck_assert_int_lt(
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", room_path("socket")),
		(int)sizeof(address.sun_path));
	ck_assert_int_eq(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_foreign(room_path("directory"), EISDIR);
	expect_foreign(room_path("fifo"), EINVAL);
	expect_foreign(room_path("socket"), EINVAL);
	expect_foreign("/dev/null", EINVAL);
	expect_foreign("/dev/zero", EINVAL);
	ck_assert_int_eq(access("/dev/null", F_OK), 0);
	close(s);
}
END_TEST

START_TEST(symbolic_link_is_refused)
{
	struct image whole;
	const char *path = make_ring(&whole);

	ck_assert_int_eq(symlink(path, room_path("link")), 0);
	ck_assert_int_eq(symlink("nowhere", room_path("dangling")), 0);
	expect_foreign(room_path("link"), ELOOP);
	expect_foreign(room_path("dangling"), ELOOP);
	must(shmring_remove(path));
	free(whole.bytes);
}
END_TEST

START_TEST(missing_file_is_not_found)
{
	static char endless[8192];

	expect_foreign(room_path("missing"), ENOENT);
	expect_foreign("/nowhere/at/all", ENOENT);
	memset(endless, 'a', sizeof(endless) - 1);
	endless[0] = '/';
	expect_foreign(endless, ENAMETOOLONG);
	ck_assert_int_lt(shmring_open(&(struct shmring_ring *){ NULL }, ""), 0);
	ck_assert_int_lt(shmring_remove(""), 0);
	must_fail(ENOENT, shmring_open(&(struct shmring_ring *){ NULL }, "no-such-ring"));
}
END_TEST

START_TEST(unreadable_file_is_refused)
{
	struct image whole;
	struct peer stranger;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	make_ring(&whole);
	peer_exec(&stranger);
	ck_assert_int_eq(peer_simple(&stranger, PEER_NOBODY), 0);
	ck_assert_int_eq(peer_open(&stranger, room_path("ring")), -EACCES);
	ck_assert_str_ne(stranger.answer.explain, "");
	peer_quit(&stranger);
	free(whole.bytes);
}
END_TEST

START_TEST(descriptor_without_a_ring_is_refused)
{
	uint64_t seed = random_seed(), noise[512];
	struct shmring_ring *r;
	int pipes[2], fd;

	must_fail(EBADF, shmring_open_fd(&r, -1));
	must_fail(EBADF, shmring_open_fd(&r, 1000));
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	must_fail(EINVAL, shmring_open_fd(&r, pipes[0]));
	fd = memfd_create("noise", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	for (unsigned i = 0; i < 512; i++)
		noise[i] = random_next(&seed);
	ck_assert_int_eq(write(fd, noise, sizeof(noise)), sizeof(noise));
	must_fail(EBADMSG, shmring_open_fd(&r, fd));
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

/* Also when it is a copy in memory, byte by byte. */
START_TEST(copy_of_an_anonymous_ring_is_refused)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create(WAY_PASSED_EXEC, &config), *copy;
	int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must(shmring_stat(r, &st));
	ck_assert_int_eq(ftruncate(fd, (off_t)st.file_size), 0);
	ck_assert_int_eq(sendfile(fd, (int)must(shmring_fd(r)), (off_t[]){ 0 }, st.file_size),
			 (ssize_t)st.file_size);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	must_fail(ESTALE, shmring_open_fd(&copy, fd));
	close(fd);
	shmring_close(r);
}
END_TEST

/* A damaged ring must not stay for ever: its name can be removed. */
START_TEST(damaged_ring_can_be_removed)
{
	struct image whole;
	const char *path = make_ring(&whole);

	ck_assert_int_eq(truncate(path, 65536), 0);
	expect_refused(path, EBADMSG);
	must(shmring_remove(path));
	ck_assert_int_ne(access(path, F_OK), 0);
	image_write(&whole, path);
	expect_refused(path, ESTALE);
	must(shmring_remove(path));
	ck_assert_int_ne(access(path, F_OK), 0);
	free(whole.bytes);
}
END_TEST

START_TEST(shortage_of_descriptors_is_reported)
{
	struct shmring_config config = small_config();
	struct rlimit old, none;
	struct shmring_ring *r, *again;
	struct shmring_producer *p;
	struct shmring_consumer *c;
	int fd;

	r = ring_create(&config);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)fd;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	must_fail(EMFILE, shmring_open(&again, room_path("ring")));
	must_fail(EMFILE, shmring_create(&again, NULL, &config));
	must_fail(EMFILE, shmring_create(&again, room_path("other"), &config));
	must_fail(EMFILE, shmring_producer_attach(&p, r, NULL));
	must_fail(EMFILE, shmring_consumer_attach(&c, r, NULL));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_ne(access(room_path("other"), F_OK), 0);
	shmring_producer_detach(producer_attach(r));
	close(fd);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("badfile");
	TCase *tc = room_case(s, "badfile", 30);

	tcase_add_test(tc, foreign_content_is_refused);
	tcase_add_test(tc, truncated_ring_is_refused);
	tcase_add_test(tc, ring_that_grew_is_refused);
	tcase_add_test(tc, copy_of_a_ring_is_refused);
	tcase_add_loop_test(tc, every_flipped_bit_of_the_identity_is_noticed, 0, 8);
	tcase_add_loop_test(tc, no_content_crashes_the_opener, 0, 4);
	tcase_add_loop_test(tc, no_content_crashes_a_reader, 0, 8);
	tcase_add_loop_test(tc, no_content_crashes_or_delays_an_attach, 0, 8);
	tcase_add_test(tc, irregular_file_is_refused);
	tcase_add_test(tc, symbolic_link_is_refused);
	tcase_add_test(tc, missing_file_is_not_found);
	tcase_add_test(tc, unreadable_file_is_refused);
	tcase_add_test(tc, descriptor_without_a_ring_is_refused);
	tcase_add_test(tc, copy_of_an_anonymous_ring_is_refused);
	tcase_add_test(tc, damaged_ring_can_be_removed);
	tcase_add_test(tc, shortage_of_descriptors_is_reported);
	return run_suite(s);
}
