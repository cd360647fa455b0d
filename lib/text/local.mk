# SPDX-License-Identifier: MIT
# Text from outside. These files know no other room; the library and the command compile them.
TEXT_SOURCES = \
	lib/text/harmless.c \
	lib/text/harmless.h
