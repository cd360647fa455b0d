/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess: message_queue, copies in and out under a mutex and two conditions, in C++
 * behind functions for peer-boost.c.
 */
#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstddef>

#include "peer-boost.h"

using boost::interprocess::message_queue;

void *boost_queue_new(const char *name, size_t count, size_t size)
{
	try {
		return new message_queue(boost::interprocess::create_only, name, count, size);
	} catch (...) {
		return nullptr;
	}
}

void boost_queue_free(void *queue, const char *name)
{
	delete static_cast<message_queue *>(queue);
	message_queue::remove(name);
}

int boost_queue_send(void *queue, const void *data, size_t size)
{
	try {
		static_cast<message_queue *>(queue)->send(data, size, 0);
		return 0;
	} catch (...) {
		return -1;
	}
}

long boost_queue_receive(void *queue, void *data, size_t size)
{
	message_queue::size_type got = 0;
	unsigned priority;

	try {
		static_cast<message_queue *>(queue)->receive(data, size, got, priority);
		return static_cast<long>(got);
	} catch (...) {
		return -1;
	}
}
