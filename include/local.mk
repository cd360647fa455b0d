# SPDX-License-Identifier: MIT
# What is installed for programs that use rings.

shmringincludedir = $(includedir)/shmring
shmringinclude_HEADERS = \
	include/shmring/abi-inline.h \
	include/shmring/consumer-inline.h \
	include/shmring/consumer.h \
	include/shmring/producer-inline.h \
	include/shmring/producer.h \
	include/shmring/shmring.h
