# SPDX-License-Identifier: MIT
# The binary interface of the libraries, as it was released: see tests/meta/check-abi.sh.

EXTRA_DIST += \
	abi/libshmring-consumer.abi \
	abi/libshmring-producer.abi \
	abi/libshmring.abi \
	abi/private.ini

PHONY_TARGETS += abi-reference
abi-reference: libshmring.la libshmring-producer.la libshmring-consumer.la
	abs_srcdir=$(abs_srcdir) abs_builddir=$(abs_builddir) \
		$(SHELL) $(srcdir)/tests/meta/check-abi.sh --renew
