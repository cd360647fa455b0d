/* SPDX-License-Identifier: MIT */
/*
 * Places: taken by one, left, proved dead, buried; and the names of consumers.
 * The rules R1 to R5 of registry.h, one by one.
 */
#include "registry.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "sys.h"

static struct registry registry;

/* A description of one's own, as each attachment has. */
static int description(void)
{
	int fd = open(room_path("ring"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static uint64_t word(enum place_kind kind, unsigned slot)
{
	return load_acquire(place_status(&registry, kind, slot));
}

/* Take a consumer's place through a description of its own. */
static int take(unsigned slot, uint64_t *status)
{
	int fd = description();

	must(shmr_place_take(&registry, PLACE_CONSUMER, slot, word(PLACE_CONSUMER, slot), fd,
			     status));
	return fd;
}

static void enter(unsigned slot, uint64_t *status, unsigned flags, enum place_state state)
{
	uint64_t next = status_with_flags(status_next(*status, state), flags);

	ck_assert(compare_and_swap(place_status(&registry, PLACE_CONSUMER, slot), *status, next));
	*status = next;
}

START_TEST(status_word_keeps_its_parts)
{
	uint64_t s = status_make(0xfedcba98, 0xabcdef, 3, PLACE_SUSPECT);

	ck_assert_uint_eq(status_epoch(s), 0xfedcba98);
	ck_assert_uint_eq(status_flags(s), 3);
	ck_assert_int_eq(status_state(s), PLACE_SUSPECT);
	ck_assert_uint_eq(status_flags(status_with_flags(s, 1)), 1);
	ck_assert_uint_ne(status_next(s, PLACE_SUSPECT), s);
	ck_assert_int_eq(status_state(status_next(s, PLACE_DETACHED)), PLACE_DETACHED);
	ck_assert_uint_eq(
		status_epoch(status_next(status_make(5, 0xffffff, 0, PLACE_ACTIVE), PLACE_ACTIVE)),
		5);
}
END_TEST

START_TEST(every_place_and_epoch_has_a_byte_of_its_own)
{
	uint64_t last = 0, byte;

	for (int kind = PLACE_LANE; kind <= PLACE_CONSUMER; kind++) {
		for (unsigned slot = 0; slot < 64; slot++) {
			byte = shmr_place_byte((enum place_kind)kind, slot, 0);
			ck_assert_uint_gt(byte, last);
			ck_assert_uint_eq(shmr_place_byte((enum place_kind)kind, slot, 1),
					  byte + 1);
			last = shmr_place_byte((enum place_kind)kind, slot, UINT32_MAX);
			ck_assert_int_gt((off_t)last, 0);
		}
	}
	ck_assert_uint_lt(shmr_name_byte("logger"), shmr_place_byte(PLACE_LANE, 0, 0));
	ck_assert_uint_ne(shmr_name_byte("logger"), shmr_name_byte("loggeR"));
}
END_TEST

START_TEST(taker_holds_the_lock_of_its_epoch)
{
	uint64_t status;
	int fd = take(3, &status), probe = description();

	ck_assert_int_eq(status_state(status), PLACE_SETUP);
	ck_assert_uint_eq(status_epoch(status), 1);
	ck_assert_uint_eq(word(PLACE_CONSUMER, 3), status);
	ck_assert_int_eq(must(shmr_probe_byte(probe, shmr_place_byte(PLACE_CONSUMER, 3, 1))), 1);
	ck_assert_int_eq(must(shmr_probe_byte(probe, shmr_place_byte(PLACE_CONSUMER, 3, 2))), 0);
	close(fd);
	close(probe);
}
END_TEST

START_TEST(taken_place_is_not_taken_again)
{
	uint64_t status, other;
	int fd = take(0, &status), second = description();

	for (int state = PLACE_SETUP; state <= PLACE_DETACHED; state++) {
		store_relaxed(place_status(&registry, PLACE_CONSUMER, 0),
			      status_make(1, 0, 0, (enum place_state)state));
		ck_assert_int_eq(shmr_place_take(&registry, PLACE_CONSUMER, 0,
						 word(PLACE_CONSUMER, 0), second, &other),
				 -EAGAIN);
	}
	close(fd);
	close(second);
}
END_TEST

START_TEST(stale_view_of_a_free_place_takes_nothing)
{
	uint64_t seen = word(PLACE_LANE, 0), status;
	int one = description(), two = description();

	must(shmr_place_take(&registry, PLACE_LANE, 0, seen, one, &status));
	ck_assert_int_eq(shmr_place_take(&registry, PLACE_LANE, 0, seen, two, &status), -EAGAIN);
	close(one);
	close(two);
}
END_TEST

/* Killed or stopped between its two steps: it has no right to anything. */
START_TEST(claimed_place_is_claimed_over)
{
	uint64_t status;
	int fd = description();

	store_relaxed(place_status(&registry, PLACE_LANE, 5), status_make(7, 0, 0, PLACE_CLAIMED));
	must(shmr_place_take(&registry, PLACE_LANE, 5, word(PLACE_LANE, 5), fd, &status));
	ck_assert_uint_eq(status_epoch(status), 8);
	close(fd);
}
END_TEST

START_TEST(living_tenant_is_not_dead)
{
	uint64_t status;
	int fd = take(1, &status), probe = description();

	ck_assert(!shmr_place_is_dead(PLACE_CONSUMER, 1, status, probe));
	ck_assert(!shmr_place_bury(&registry, PLACE_CONSUMER, 1, status, probe));
	ck_assert_uint_eq(word(PLACE_CONSUMER, 1), status);
	close(fd);
	ck_assert(shmr_place_is_dead(PLACE_CONSUMER, 1, status, probe));
	close(probe);
}
END_TEST

/* The descriptor is gone, but the tenant could still store. */
START_TEST(mapping_keeps_its_tenant_alive)
{
	uint64_t status;
	int fd = take(1, &status), probe = description();
	void *address = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(address, MAP_FAILED);
	close(fd);
	ck_assert(!shmr_place_is_dead(PLACE_CONSUMER, 1, status, probe));
	munmap(address, 65536);
	ck_assert(shmr_place_is_dead(PLACE_CONSUMER, 1, status, probe));
	close(probe);
}
END_TEST

START_TEST(no_error_is_a_proof_of_death)
{
	uint64_t status;
	int fd = take(1, &status);

	close(fd);
	ck_assert(!shmr_place_is_dead(PLACE_CONSUMER, 1, status, -1));
	ck_assert(!shmr_place_is_dead(PLACE_CONSUMER, 1, status, 1000));
	ck_assert(!shmr_place_bury(&registry, PLACE_CONSUMER, 1, status, -1));
}
END_TEST

START_TEST(unprotected_place_is_never_dead)
{
	int probe = description();

	ck_assert(!shmr_place_is_dead(PLACE_LANE, 0, status_make(1, 0, 0, PLACE_FREE), probe));
	ck_assert(!shmr_place_is_dead(PLACE_LANE, 0, status_make(1, 0, 0, PLACE_CLAIMED), probe));
	ck_assert(!shmr_place_is_dead(PLACE_LANE, 0, status_make(1, 0, 1, PLACE_DETACHED), probe));
	ck_assert(!shmr_place_is_dead(PLACE_LANE, 0, status_make(1, 0, 1, PLACE_LAPSED), probe));
	close(probe);
}
END_TEST

struct burial {
	unsigned flags;
	enum place_state died, left;
};

static const struct burial burials[] = {
	{ 0, PLACE_SETUP, PLACE_FREE },
	{ 0, PLACE_JOINING, PLACE_FREE },
	{ 0, PLACE_ACTIVE, PLACE_FREE },
	{ PLACE_EVICTABLE, PLACE_SUSPECT, PLACE_FREE },
	{ PLACE_EVICTABLE, PLACE_EVICTED, PLACE_FREE },
	{ PLACE_NAMED, PLACE_ACTIVE, PLACE_DETACHED },
	{ PLACE_NAMED | PLACE_EVICTABLE, PLACE_SUSPECT, PLACE_DETACHED },
	{ PLACE_NAMED | PLACE_EVICTABLE, PLACE_EVICTED, PLACE_LAPSED },
};

START_TEST(burial_leaves_the_state_that_fits_the_tenant)
{
	const struct burial *b = &burials[_i];
	uint64_t status;
	int fd = take(9, &status), probe = description();

	enter(9, &status, b->flags, b->died);
	close(fd);
	ck_assert(shmr_place_bury(&registry, PLACE_CONSUMER, 9, status, probe));
	ck_assert_int_eq(status_state(word(PLACE_CONSUMER, 9)), b->left);
	ck_assert_uint_eq(status_epoch(word(PLACE_CONSUMER, 9)), 1);
	ck_assert(!shmr_place_bury(&registry, PLACE_CONSUMER, 9, status, probe));
	close(probe);
}
END_TEST

START_TEST(leaving_leaves_the_same_state_as_burial)
{
	const struct burial *b = &burials[_i];
	uint64_t status;
	int fd = take(9, &status);

	enter(9, &status, b->flags, b->died);
	shmr_place_leave(&registry, PLACE_CONSUMER, 9, status);
	ck_assert_int_eq(status_state(word(PLACE_CONSUMER, 9)), b->left);
	close(fd);
}
END_TEST

/* Looked at in one state, dead in another: another process has changed the word. */
START_TEST(burial_names_the_whole_word)
{
	uint64_t status, seen;
	int fd = take(9, &status), probe = description();

	seen = status;
	enter(9, &status, 0, PLACE_ACTIVE);
	close(fd);
	ck_assert(!shmr_place_bury(&registry, PLACE_CONSUMER, 9, seen, probe));
	ck_assert_uint_eq(word(PLACE_CONSUMER, 9), status);
	ck_assert_uint_eq(shmr_place_bury_all(&registry, PLACE_CONSUMER, probe), 1);
	close(probe);
}
END_TEST

START_TEST(detached_and_joining_cursors_gate_and_lapsed_ones_do_not)
{
	static const bool gates[] = {
		[PLACE_FREE] = false,	 [PLACE_CLAIMED] = false, [PLACE_SETUP] = false,
		[PLACE_JOINING] = true,	 [PLACE_ACTIVE] = true,	  [PLACE_SUSPECT] = true,
		[PLACE_EVICTED] = false, [PLACE_DETACHED] = true, [PLACE_LAPSED] = false,
	};

	for (unsigned state = 0; state < sizeof(gates); state++)
		ck_assert_msg(status_gates(status_make(1, 0, 0, (enum place_state)state)) ==
				      gates[state],
			      "state %u", state);
}
END_TEST

START_TEST(name_is_found_while_its_cursor_exists)
{
	uint64_t status, found;
	int fd = take(20, &status);
	unsigned slot = 0;

	shmr_holder_write(&registry.consumer_holder[20], "logger");
	ck_assert_int_eq(shmr_name_find(&registry, "logger", &slot, &found), -ENOENT);
	enter(20, &status, PLACE_NAMED, PLACE_ACTIVE);
	must(shmr_name_find(&registry, "logger", &slot, &found));
	ck_assert_uint_eq(slot, 20);
	ck_assert_uint_eq(found, status);
	ck_assert_int_eq(shmr_name_find(&registry, "logge", &slot, &found), -ENOENT);
	ck_assert_int_eq(shmr_name_find(&registry, "loggers", &slot, &found), -ENOENT);
	close(fd);
}
END_TEST

START_TEST(holder_keeps_the_longest_name)
{
	const char *longest = "1234567890123456789012345678901";
	char name[SHMRING_NAME_SIZE];

	must(shmr_name_check(longest));
	shmr_holder_write(&registry.consumer_holder[0], longest);
	shmr_name_read(&registry.consumer_holder[0], name);
	ck_assert_str_eq(name, longest);
	ck_assert_uint_eq(registry.consumer_holder[0].pid, (uint64_t)getpid());
	memset(&registry.consumer_holder[0], 'x', sizeof(struct holder));
	shmr_name_read(&registry.consumer_holder[0], name);
	ck_assert_uint_eq(strlen(name), 31);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("registry");
	TCase *tc = room_case(s, "registry", 20);
	int count = sizeof(burials) / sizeof(*burials);

	tcase_add_test(tc, status_word_keeps_its_parts);
	tcase_add_test(tc, every_place_and_epoch_has_a_byte_of_its_own);
	tcase_add_test(tc, taker_holds_the_lock_of_its_epoch);
	tcase_add_test(tc, taken_place_is_not_taken_again);
	tcase_add_test(tc, stale_view_of_a_free_place_takes_nothing);
	tcase_add_test(tc, claimed_place_is_claimed_over);
	tcase_add_test(tc, living_tenant_is_not_dead);
	tcase_add_test(tc, mapping_keeps_its_tenant_alive);
	tcase_add_test(tc, no_error_is_a_proof_of_death);
	tcase_add_test(tc, unprotected_place_is_never_dead);
	tcase_add_loop_test(tc, burial_leaves_the_state_that_fits_the_tenant, 0, count);
	tcase_add_loop_test(tc, leaving_leaves_the_same_state_as_burial, 0, count);
	tcase_add_test(tc, burial_names_the_whole_word);
	tcase_add_test(tc, detached_and_joining_cursors_gate_and_lapsed_ones_do_not);
	tcase_add_test(tc, name_is_found_while_its_cursor_exists);
	tcase_add_test(tc, holder_keeps_the_longest_name);
	return run_suite(s);
}
