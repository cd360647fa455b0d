/* SPDX-License-Identifier: MIT */
/*
 * fault: what happens at the places; see fault.h. Empty in builds without them.
 */
#include "fault.h"

#ifdef SHMR_FAULT_POINTS

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct fault {
	char name[FAULT_NAME_SIZE];
	uint32_t left; /* hits until it comes; 0: it is not armed */
	enum fault_action action;
};

static struct fault armed[2];
static uint32_t *tell_reached;
static uint32_t *tell_hits;

static bool same_function(const struct fault_site *a, const struct fault_site *b)
{
	return strcmp(a->function, b->function) == 0 && strcmp(a->file, b->file) == 0;
}

/* The compiler may have put the sites of a function in any order. */
static unsigned number_of(const struct fault_list *list, const struct fault_site *site)
{
	unsigned number = 1;

	for (const struct fault_site *s = list->begin; s < list->end; s++)
		number += same_function(s, site) && s->line < site->line;
	return number;
}

static char *put_number(char *to, unsigned number)
{
	if (number >= 10)
		to = put_number(to, number / 10);
	*to = (char)('0' + number % 10);
	return to + 1;
}

void shmr_fault_name(const struct fault_list *list, const struct fault_site *site,
		     enum fault_side side, char ret[FAULT_NAME_SIZE])
{
	char *to = ret;

	for (const char *from = site->function; *from && to < ret + FAULT_NAME_SIZE - 8;)
		*to++ = *from++;
	*to++ = '.';
	to = put_number(to, number_of(list, site));
	if (side == FAULT_BEHIND)
		*to++ = '+';
	*to = '\0';
}

/* Is this the hit at which the fault comes? */
static bool has_come(struct fault *f, const struct fault_list *list, const struct fault_site *site,
		     enum fault_side side)
{
	size_t length = strlen(site->function);
	char name[FAULT_NAME_SIZE];

	if (__atomic_load_n(&f->left, __ATOMIC_RELAXED) == 0 ||
	    strncmp(f->name, site->function, length) != 0)
		return false;
	shmr_fault_name(list, site, side, name);
	return strcmp(f->name, name) == 0 && __atomic_fetch_sub(&f->left, 1, __ATOMIC_RELAXED) == 1;
}

static void act(enum fault_action action)
{
	const struct timespec delay = { .tv_nsec = FAULT_DELAY_NS };

	if (action == FAULT_KILL)
		raise(SIGKILL);
	else if (action == FAULT_STOP)
		raise(SIGSTOP);
	else if (action == FAULT_EXIT)
		_exit(0);
	else if (action == FAULT_DELAY)
		nanosleep(&delay, NULL);
}

void shmr_fault_hit(const struct fault_list *list, const struct fault_site *site,
		    enum fault_side side)
{
	if (tell_hits)
		__atomic_fetch_add(&tell_hits[2 * (site - list->begin) + side], 1,
				   __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++) {
		if (!has_come(&armed[i], list, site, side))
			continue;
		if (tell_reached)
			__atomic_fetch_or(tell_reached, 1, __ATOMIC_RELEASE);
		act(armed[i].action);
	}
}

void shmr_fault_arm(const char *name, unsigned hit, enum fault_action action)
{
	struct fault *f = &armed[armed[0].left != 0];

	if (action == FAULT_NONE) {
		memset(armed, 0, sizeof(armed));
		return;
	}
	memset(f->name, 0, sizeof(f->name));
	strncpy(f->name, name, sizeof(f->name) - 1);
	f->action = action;
	f->left = hit;
}

void shmr_fault_tell(uint32_t *reached, uint32_t *hits)
{
	tell_reached = reached;
	tell_hits = hits;
}

/* The action that the word begins with, and where it ends. */
static enum fault_action action_called(const char *word, const char **ret_end)
{
	static const char *const words[] = {
		[FAULT_KILL] = "kill",
		[FAULT_STOP] = "stop",
		[FAULT_EXIT] = "exit",
		[FAULT_DELAY] = "delay",
	};
	size_t length = strcspn(word, ",");

	*ret_end = word + length;
	for (unsigned i = FAULT_KILL; i <= FAULT_DELAY; i++)
		if (strlen(words[i]) == length && strncmp(word, words[i], length) == 0)
			return i;
	return FAULT_NONE;
}

/* A wish that cannot be understood ends the process: it would test nothing. */
__attribute__((noreturn)) static void refuse(const char *wish)
{
	static const char words[] =
		"SHMRING_FAULT: not one or two of NAME:N:kill|stop|exit|delay: ";

	if (write(2, words, sizeof(words) - 1) < 0 || write(2, wish, strlen(wish)) < 0 ||
	    write(2, "\n", 1) < 0)
		_exit(126);
	_exit(125);
}

/* Arm one of the faults wished for; returns where the next begins. */
static const char *arm_one(const char *wish)
{
	size_t length = strcspn(wish, ":,");
	char name[FAULT_NAME_SIZE] = "";
	enum fault_action action;
	const char *rest;
	char *end;
	long hit;

	if (length == 0 || length >= sizeof(name) || wish[length] != ':')
		refuse(wish);
	memcpy(name, wish, length);
	hit = strtol(wish + length + 1, &end, 10);
	if (hit < 1 || *end != ':')
		refuse(wish);
	action = action_called(end + 1, &rest);
	if (action == FAULT_NONE)
		refuse(wish);
	shmr_fault_arm(name, (unsigned)hit, action);
	return *rest == ',' ? rest + 1 : rest;
}

__attribute__((constructor)) static void arm_by_environment(void)
{
	const char *wish = secure_getenv("SHMRING_FAULT");

	if (!wish)
		return;
	wish = arm_one(wish);
	if (*wish)
		wish = arm_one(wish);
	if (*wish)
		refuse(wish);
}

#endif
