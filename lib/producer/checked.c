/* SPDX-License-Identifier: MIT */
/*
 * checked: the public functions of a producer in a build with --enable-handle-checks; in
 * other builds there is nothing here. See unchecked.h, and lib/core/in-use.h.
 *
 * shmring_producer_cancel() is for other threads and signal handlers, so it is not here;
 * nor are shmring_producer_max_message() and shmring_producer_lane(), whose answers never change.
 * shmring_wait() takes its handles itself.
 *
 * The inline shmring_claim() always asks shmring_slow1_claim_refused() first, because `claimed`
 * is never 0, and goes on to shmring_slow1_claim(), because there is never any room. So
 * the first one takes the handle, and the second one gives it back.
 */
#ifdef SHMR_HANDLE_CHECKS
#undef SHMR_UNCHECKED_NAMES
#include "in-use.h"
#include "producer.h"

#define UNCHECKED(name) extern __typeof__(shmring_##name) unchecked_##name

UNCHECKED(abort);
UNCHECKED(claim);
UNCHECKED(slow1_claim_refused);
UNCHECKED(slow1_claim);
UNCHECKED(commit);
UNCHECKED(slow1_commit);
UNCHECKED(discard);
UNCHECKED(flush);
UNCHECKED(producer_arm);
UNCHECKED(producer_counters);
UNCHECKED(producer_detach);
UNCHECKED(producer_fd);
UNCHECKED(producer_memory);
UNCHECKED(producer_quiet);
UNCHECKED(producer_spin);
UNCHECKED(producer_waitable);
UNCHECKED(publish);
UNCHECKED(slow1_publish_large);
UNCHECKED(publishv);
UNCHECKED(stage);
UNCHECKED(producer_wake);

static struct in_use *use_of(const struct shmring_producer *p)
{
	return (struct in_use *)(uintptr_t)&p->use; /* not part of what the call may not change */
}

static int take(struct shmring_producer *p)
{
	return use_begin(&p->use);
}

/* An open claim belongs to the thread that has opened it, and so does the handle until then. */
static int give_back(struct shmring_producer *p, int r)
{
	p->use.claimer = p->hot.data && producer_claim_is_open(p) ? shmr_use_thread() : 0;
	use_end(&p->use);
	return r;
}

int shmring_slow1_claim_refused(struct shmring_producer *p, size_t len)
{
	int e = take(p);

	if (e < 0)
		return e;
	e = unchecked_slow1_claim_refused(p, len);
	return e < 0 ? give_back(p, e) : 0;
}

int shmring_slow1_claim(struct shmring_producer *p, size_t len, int64_t deadline)
{
	return give_back(p, unchecked_slow1_claim(p, len, deadline));
}

int shmring_claim(struct shmring_producer *p, size_t len, int64_t deadline, void **ret_data)
{
	int e = take(p);

	if (e < 0)
		return e;
	return give_back(p, unchecked_claim(p, len, deadline, ret_data));
}

int shmring_commit(struct shmring_producer *p, size_t len)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_commit(p, len));
}

int shmring_slow1_commit(struct shmring_producer *p, size_t len)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_slow1_commit(p, len));
}

int shmring_stage(struct shmring_producer *p, size_t len)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_stage(p, len));
}

int shmring_flush(struct shmring_producer *p)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_flush(p));
}

int shmring_publish(struct shmring_producer *p, const void *data, size_t len, int64_t deadline)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_publish(p, data, len, deadline));
}

int shmring_slow1_publish_large(struct shmring_producer *p, const void *data, size_t len,
				int64_t deadline)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_slow1_publish_large(p, data, len, deadline));
}

int shmring_publishv(struct shmring_producer *p, const struct iovec *pieces, int count,
		     int64_t deadline)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_publishv(p, pieces, count, deadline));
}

int shmring_producer_fd(struct shmring_producer *p, uint32_t flags)
{
	int e = use_begin(&p->use);

	return e < 0 ? e : give_back(p, unchecked_producer_fd(p, flags));
}

int shmring_producer_arm(struct shmring_producer *p, size_t len)
{
	int e = take(p);

	return e < 0 ? e : give_back(p, unchecked_producer_arm(p, len));
}

int shmring_producer_quiet(struct shmring_producer *p, int quiet)
{
	int e = use_begin(&p->use);

	return e < 0 ? e : give_back(p, unchecked_producer_quiet(p, quiet));
}

int shmring_producer_spin(struct shmring_producer *p, int64_t spin_ns)
{
	int e = use_begin(&p->use);

	return e < 0 ? e : give_back(p, unchecked_producer_spin(p, spin_ns));
}

int shmring_producer_wake(struct shmring_producer *p)
{
	int e = use_begin(&p->use);

	return e < 0 ? e : give_back(p, unchecked_producer_wake(p));
}

int shmring_producer_counters(const struct shmring_producer *p, struct shmring_counters *ret)
{
	int e = use_begin(use_of(p));

	if (e < 0)
		return e;
	e = unchecked_producer_counters(p, ret);
	use_end(use_of(p));
	return e;
}

int shmring_producer_memory(const struct shmring_producer *p, struct shmring_memory_report *ret)
{
	int e = use_begin(use_of(p));

	if (e < 0)
		return e;
	e = unchecked_producer_memory(p, ret);
	use_end(use_of(p));
	return e;
}

/* The functions that follow return no error: they do nothing, and leave the sentence. */
void shmring_abort(struct shmring_producer *p)
{
	if (take(p) < 0)
		return;
	unchecked_abort(p);
	give_back(p, 0);
}

void shmring_discard(struct shmring_producer *p)
{
	if (take(p) < 0)
		return;
	unchecked_discard(p);
	give_back(p, 0);
}

/* A claim that a thread has left open does not hinder another thread from detaching. */
void shmring_producer_detach(struct shmring_producer *p)
{
	if (p && use_begin_last(&p->use) == 0)
		unchecked_producer_detach(p);
}

/* The wait with it will answer. */
struct shmring_waitable *shmring_producer_waitable(struct shmring_producer *p, size_t len)
{
	if (use_begin(&p->use) < 0)
		return &p->fd.waitable;
	unchecked_producer_waitable(p, len);
	use_end(&p->use);
	return &p->fd.waitable;
}

#endif
