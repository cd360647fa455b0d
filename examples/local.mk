# SPDX-License-Identifier: MIT
# Small programs to copy from, and the demo.

noinst_PROGRAMS += \
	examples/event-loop \
	examples/fork \
	examples/hello-consumer \
	examples/hello-producer \
	examples/pass-descriptor \
	examples/zero-copy-batch

examples_event_loop_SOURCES = examples/event-loop.c
examples_event_loop_LDADD = $(SHMRING_LIBS)

examples_fork_SOURCES = examples/fork.c
examples_fork_LDADD = $(SHMRING_LIBS)

examples_hello_consumer_SOURCES = examples/hello-consumer.c
examples_hello_consumer_LDADD = $(CONSUMER_LIBS)

examples_hello_producer_SOURCES = examples/hello-producer.c
examples_hello_producer_LDADD = $(PRODUCER_LIBS)

examples_pass_descriptor_SOURCES = examples/pass-descriptor.c
examples_pass_descriptor_LDADD = $(SHMRING_LIBS)

examples_zero_copy_batch_SOURCES = examples/zero-copy-batch.c
examples_zero_copy_batch_LDADD = $(SHMRING_LIBS)

if HAVE_SDEVENT
noinst_PROGRAMS += examples/sd-event-loop
endif
examples_sd_event_loop_SOURCES = examples/sd-event-loop.c
examples_sd_event_loop_CPPFLAGS = $(AM_CPPFLAGS) $(SDEVENT_CFLAGS)
examples_sd_event_loop_LDADD = $(SHMRING_LIBS) $(SDEVENT_LIBS)

# xxHash is compiled in: its header is needed, its library is not.
if HAVE_XXHASH
noinst_PROGRAMS += examples/demo/shmring-demo
endif
examples_demo_shmring_demo_SOURCES = \
	examples/demo/checksum.c \
	examples/demo/common.c \
	examples/demo/consumer.c \
	examples/demo/crew.c \
	examples/demo/demo.h \
	examples/demo/files.c \
	examples/demo/latency.c \
	examples/demo/main.c \
	examples/demo/options.c \
	examples/demo/producer.c \
	examples/demo/summary.c \
	examples/demo/verify.c
examples_demo_shmring_demo_CPPFLAGS = $(AM_CPPFLAGS) $(XXHASH_CFLAGS)
examples_demo_shmring_demo_LDADD = $(SHMRING_LIBS)

EXAMPLE_TESTS = \
	examples/demo/run-demo.sh \
	examples/run-examples.sh
if ENABLE_TESTS
TESTS += $(EXAMPLE_TESTS)
endif
EXTRA_DIST += $(EXAMPLE_TESTS)
