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

static struct {
	char name[FAULT_NAME_SIZE];
	uint32_t left; /* hits until it comes; 0: nothing is armed */
	enum fault_action action;
	uint32_t *reached;
	uint32_t *hits;
} armed;

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

static bool is_armed(const struct fault_list *list, const struct fault_site *site,
		     enum fault_side side)
{
	size_t length = strlen(site->function);
	char name[FAULT_NAME_SIZE];

	if (__atomic_load_n(&armed.left, __ATOMIC_RELAXED) == 0 ||
	    strncmp(armed.name, site->function, length) != 0)
		return false;
	shmr_fault_name(list, site, side, name);
	return strcmp(armed.name, name) == 0 &&
	       __atomic_fetch_sub(&armed.left, 1, __ATOMIC_RELAXED) == 1;
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
	if (armed.hits)
		__atomic_fetch_add(&armed.hits[2 * (site - list->begin) + side], 1,
				   __ATOMIC_RELAXED);
	if (!is_armed(list, site, side))
		return;
	if (armed.reached)
		__atomic_fetch_or(armed.reached, 1, __ATOMIC_RELEASE);
	act(armed.action);
}

void shmr_fault_arm(const char *name, unsigned hit, enum fault_action action)
{
	memset(armed.name, 0, sizeof(armed.name));
	strncpy(armed.name, name, sizeof(armed.name) - 1);
	armed.action = action;
	armed.left = action == FAULT_NONE ? 0 : hit;
}

void shmr_fault_tell(uint32_t *reached, uint32_t *hits)
{
	armed.reached = reached;
	armed.hits = hits;
}

static enum fault_action action_called(const char *word)
{
	static const char *const words[] = {
		[FAULT_KILL] = "kill",
		[FAULT_STOP] = "stop",
		[FAULT_EXIT] = "exit",
		[FAULT_DELAY] = "delay",
	};

	for (unsigned i = FAULT_KILL; i <= FAULT_DELAY; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	return FAULT_NONE;
}

/* A wish that cannot be understood ends the process: it would test nothing. */
static void refuse(const char *wish)
{
	static const char words[] = "SHMRING_FAULT is not NAME:N:kill|stop|exit|delay: ";

	if (write(2, words, sizeof(words) - 1) < 0 || write(2, wish, strlen(wish)) < 0 ||
	    write(2, "\n", 1) < 0)
		_exit(126);
	_exit(125);
}

__attribute__((constructor)) static void arm_by_environment(void)
{
	const char *wish = secure_getenv("SHMRING_FAULT");
	char name[FAULT_NAME_SIZE] = "";
	enum fault_action action;
	size_t length;
	long hit;
	char *end;

	if (!wish)
		return;
	length = strcspn(wish, ":");
	if (length == 0 || length >= sizeof(name) || wish[length] != ':')
		refuse(wish);
	memcpy(name, wish, length);
	hit = strtol(wish + length + 1, &end, 10);
	action = *end == ':' ? action_called(end + 1) : FAULT_NONE;
	if (hit < 1 || action == FAULT_NONE)
		refuse(wish);
	shmr_fault_arm(name, (unsigned)hit, action);
}

#endif
