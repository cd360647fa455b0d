/* SPDX-License-Identifier: MIT */
/*
 * registry: taking places and burying the dead; see registry.h for the
 * invariants R1 to R5 that the steps below keep.
 */
#include "registry.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "explain.h"
#include "sys.h"

#define PLACE_BYTES (UINT64_C(1) << 62)
#define TRIES_AT_LEAST 64
#define TRYING_NS INT64_C(100000000)
#define MARK_BYTES (UINT64_C(1) << 60)
#define NAME_BYTES REGISTRY_BYTES

uint64_t shmr_place_byte(enum place_kind kind, unsigned slot, uint32_t epoch)
{
	uint64_t place = slot + (kind == PLACE_CONSUMER ? LAYOUT_LANES : 0);

	return PLACE_BYTES + (place << 32) + epoch;
}

/* FNV-1a. Two names of one byte can only make each other wait: 60 bits. */
uint64_t shmr_name_byte(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return NAME_BYTES + (hash >> 4);
}

uint64_t shmr_mark_of(uint64_t random)
{
	return MARK_BYTES + (random >> 5);
}

static bool may_be_taken(uint64_t status)
{
	return status_state(status) == PLACE_FREE || status_state(status) == PLACE_CLAIMED ||
	       status_state(status) == PLACE_LAPSED;
}

/* [PLACE] pairs with shmr_place_is_dead(), which looks for the lock of a word it read */
int shmr_place_take(struct registry *r, enum place_kind kind, unsigned slot, uint64_t seen, int fd,
		    uint64_t *ret_status)
{
	shm_u64 *word = place_status(r, kind, slot);
	uint32_t epoch = status_epoch(seen) + 1;
	/* A lapsed name stays one, so that a death now leaves it lapsed. */
	unsigned flags = status_flags(seen) & PLACE_NAMED;
	uint64_t claimed = status_make(epoch, 0, flags, PLACE_CLAIMED);
	uint64_t setup = status_make(epoch, 1, flags, PLACE_SETUP);
	uint64_t byte = shmr_place_byte(kind, slot, epoch);
	int error;

	if (!may_be_taken(seen) || !compare_and_swap(word, seen, claimed))
		return -EAGAIN;
	error = shmr_lock_byte(fd, byte); /* R1: won the epoch, so may lock */
	/* No attached process has it (R1). CLAIMED is not protected: the next process claims it. */
	if (error == -EAGAIN)
		return explain(-EBUSY,
			       "a process that is not attached holds locks on the ring's file");
	if (error < 0)
		return explain(error, "cannot lock a place of the ring: %e", error);
	if (!compare_and_swap(word, claimed, setup)) { /* R3: claimed over */
		shmr_unlock_byte(fd, byte);
		return -EAGAIN;
	}
	*ret_status = setup;
	return 0;
}

bool shmr_try_again(struct tries *t)
{
	int64_t now;

	if (++t->count < TRIES_AT_LEAST)
		return true;
	now = shmr_now();
	if (t->until == 0)
		t->until = now + TRYING_NS;
	return now < t->until;
}

int shmr_place_restless(void)
{
	return explain(-EBUSY, "the places of the ring change all the time, so none can be taken; "
			       "a process that is attached may be broken");
}

/* [PLACE] pairs with shmr_place_take(): `seen` was loaded with acquire, the lock is older. */
bool shmr_place_is_dead(enum place_kind kind, unsigned slot, uint64_t seen, int fd)
{
	return status_protected(seen) &&
	       shmr_probe_byte(fd, shmr_place_byte(kind, slot, status_epoch(seen))) == 0;
}

/*
 * What a tenant leaves behind, alive or dead: a name keeps its cursor if it had
 * a complete one, and is LAPSED if it was still looking for one.
 */
static uint64_t remains(uint64_t status)
{
	if (!(status_flags(status) & PLACE_NAMED))
		return status_make(status_epoch(status), 0, 0, PLACE_FREE);
	switch (status_state(status)) {
	case PLACE_ACTIVE:
	case PLACE_SUSPECT:
		return status_next(status, PLACE_DETACHED);
	default:
		return status_next(status, PLACE_LAPSED);
	}
}

/* [PLACE] pairs with take_slot(), take_lane() */
bool shmr_place_bury(struct registry *r, enum place_kind kind, unsigned slot, uint64_t seen, int fd)
{
	return shmr_place_is_dead(kind, slot, seen, fd) &&
	       compare_and_swap(place_status(r, kind, slot), seen, remains(seen)); /* R2 */
}

/* [PLACE] pairs with take_slot(), take_lane() */
void shmr_place_leave(struct registry *r, enum place_kind kind, unsigned slot, uint64_t ours)
{
	shm_u64 *word = place_status(r, kind, slot);
	struct tries tries = { 0 };
	uint64_t status;

	/* If all tries fail, another process buries the place, as that of a dead tenant. */
	do
		status = load_acquire(word);
	while (status_epoch(status) == status_epoch(ours) &&
	       !compare_and_swap(word, status, remains(status)) && shmr_try_again(&tries));
}

/* [PLACE] pairs with shmr_place_take() */
unsigned shmr_place_bury_all(struct registry *r, enum place_kind kind, int fd)
{
	unsigned buried = 0;

	for (unsigned slot = 0; slot < LAYOUT_LANES; slot++)
		buried += shmr_place_bury(r, kind, slot, load_acquire(place_status(r, kind, slot)),
					  fd);
	return buried;
}

void shmr_name_read(const struct holder *holder, char ret[SHMRING_NAME_SIZE])
{
	for (unsigned i = 0; i < SHMRING_NAME_SIZE / 8; i++) {
		uint64_t word = load_relaxed(&holder->name[i]);

		memcpy(ret + 8 * i, &word, 8);
	}
	ret[SHMRING_NAME_SIZE - 1] = '\0';
}

/* [NAME] pairs with shmr_name_find(), by the next change of the status word. */
void shmr_holder_write(struct holder *holder, const char *name)
{
	char padded[SHMRING_NAME_SIZE] = "";

	if (name)
		strncpy(padded, name, sizeof(padded) - 1);
	for (unsigned i = 0; i < SHMRING_NAME_SIZE / 8; i++) {
		uint64_t word;

		memcpy(&word, padded + 8 * i, 8);
		store_relaxed(&holder->name[i], word);
	}
	store_relaxed(&holder->pid, (uint64_t)getpid());
	store_relaxed(&holder->attached_ns, shmr_wall_clock());
}

/* [NAME] pairs with shmr_holder_write() */
int shmr_name_find(struct registry *r, const char *name, unsigned *ret_slot, uint64_t *ret_status)
{
	for (unsigned slot = 0; slot < LAYOUT_CONSUMERS; slot++) {
		uint64_t status = load_acquire(&r->consumer_status[slot]);
		char found[SHMRING_NAME_SIZE];

		if (!(status_flags(status) & PLACE_NAMED))
			continue;
		shmr_name_read(&r->consumer_holder[slot], found);
		fence_acquire();
		/* Names change in SETUP only, which has another epoch. */
		if (strcmp(found, name) == 0 &&
		    status_epoch(load_relaxed(&r->consumer_status[slot])) == status_epoch(status)) {
			*ret_slot = slot;
			*ret_status = status;
			return 0;
		}
	}
	return -ENOENT;
}

int shmr_name_check(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(name);

	if (length < 1 || length >= SHMRING_NAME_SIZE)
		return explain(-EINVAL, "a consumer's name has 1 to 31 characters, '%s' has %u",
			       name, (uint64_t)length);
	if (strspn(name, allowed) != length)
		return explain(-EINVAL, "the name '%s' may only have A-Z a-z 0-9 . _ -", name);
	return 0;
}
