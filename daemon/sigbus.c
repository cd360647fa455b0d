/* SPDX-License-Identifier: MIT */
/*
 * sigbus: see sigbus.h.
 */
#include "sigbus.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomic.h"

static shm_u32 count;
static uintptr_t page_size;

/* Only what a handler may call: mmap(2) is a plain system call. */
static void handle(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t page = (uintptr_t)info->si_addr & ~(page_size - 1);

	(void)context;
	if (info->si_code != BUS_ADRERR ||
	    mmap((void *)page, page_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		signal(number, SIG_DFL); /* and again */
	else
		fetch_add32(&count, 1); /* no edge: a count */
	errno = saved;
}

void sigbus_survive(void)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

uint32_t sigbus_count(void)
{
	return load_acquire32(&count); /* no edge: a count */
}
