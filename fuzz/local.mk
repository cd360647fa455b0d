# SPDX-License-Identifier: MIT
# Fuzzing the way in, the reader, and what comes over the broker's socket. `make fuzz FUZZ_SECONDS=3600` runs long; the golden files are
# made by `make golden` and belong to the source.

FUZZ_CPPFLAGS = $(CORE_CPPFLAGS) -I$(top_srcdir)/lib/consumer -I$(top_srcdir)/lib/proto \
	-I$(top_srcdir)/lib/client
FUZZ_COMMON = fuzz/image.c fuzz/image.h fuzz/use.c fuzz/use.h
FUZZ_SECONDS = 300
FUZZ_CFLAGS = -std=c11 -O1 -g -Wall -Wextra -pthread \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-USHMR_HANDLE_CHECKS

check_PROGRAMS += fuzz/golden fuzz/replay-attach fuzz/replay-proto fuzz/replay-reader
fuzz_golden_SOURCES = fuzz/golden.c $(FUZZ_COMMON)
fuzz_golden_CPPFLAGS = $(FUZZ_CPPFLAGS)
fuzz_golden_LDADD = $(UNIT_LIBS)
fuzz_replay_attach_SOURCES = fuzz/attach.c fuzz/replay.c $(FUZZ_COMMON)
fuzz_replay_attach_CPPFLAGS = $(FUZZ_CPPFLAGS)
fuzz_replay_attach_LDADD = $(UNIT_LIBS)
fuzz_replay_proto_SOURCES = fuzz/proto.c fuzz/replay.c fuzz/use.h
fuzz_replay_proto_CPPFLAGS = $(FUZZ_CPPFLAGS)
fuzz_replay_proto_LDADD = $(UNIT_LIBS)
fuzz_replay_reader_SOURCES = fuzz/reader.c fuzz/replay.c $(FUZZ_COMMON)
fuzz_replay_reader_CPPFLAGS = $(FUZZ_CPPFLAGS)
fuzz_replay_reader_LDADD = $(UNIT_LIBS)

LONG_TESTS += fuzz/smoke.sh
EXTRA_DIST += fuzz/smoke.sh fuzz/corpus

# libFuzzer is clang's, and wants to see all of the library: it is compiled once more, whatever
# compiler builds the rest.
FUZZ_LIBRARY = \
	$(lib_core_libcore_la_SOURCES) \
	$(lib_client_libclient_la_SOURCES) \
	$(lib_proto_libproto_la_SOURCES) \
	$(lib_producer_libproducer_la_SOURCES) \
	$(lib_consumer_libconsumer_la_SOURCES)
FUZZ_COMPILE = $(FUZZ_CC) $(DEFS) $(FUZZ_CPPFLAGS) $(FUZZ_CFLAGS) -o $@ \
	`for file in $(FUZZ_COMMON) $(FUZZ_LIBRARY); do \
		case $$file in *.c) echo $(srcdir)/$$file ;; esac; done`

fuzz/fuzz-attach: fuzz/attach.c $(FUZZ_COMMON) $(FUZZ_LIBRARY)
	$(AM_V_CCLD)$(MKDIR_P) fuzz && $(FUZZ_COMPILE) $(srcdir)/fuzz/attach.c
fuzz/fuzz-proto: fuzz/proto.c $(FUZZ_COMMON) $(FUZZ_LIBRARY)
	$(AM_V_CCLD)$(MKDIR_P) fuzz && $(FUZZ_COMPILE) $(srcdir)/fuzz/proto.c
fuzz/fuzz-reader: fuzz/reader.c $(FUZZ_COMMON) $(FUZZ_LIBRARY)
	$(AM_V_CCLD)$(MKDIR_P) fuzz && $(FUZZ_COMPILE) $(srcdir)/fuzz/reader.c

if HAVE_LIBFUZZER
FUZZERS = fuzz/fuzz-attach fuzz/fuzz-proto fuzz/fuzz-reader
endif
fuzz/smoke.log: $(FUZZERS)
CLEANFILES += fuzz/fuzz-attach fuzz/fuzz-proto fuzz/fuzz-reader

fuzz: $(FUZZERS) fuzz/golden$(EXEEXT) fuzz/replay-attach$(EXEEXT) fuzz/replay-proto$(EXEEXT) fuzz/replay-reader$(EXEEXT)
	$(AM_TESTS_ENVIRONMENT) FUZZ_SECONDS=$(FUZZ_SECONDS) $(srcdir)/fuzz/smoke.sh

golden: fuzz/golden$(EXEEXT)
	$(MKDIR_P) $(srcdir)/fuzz/corpus/golden
	fuzz/golden write $(srcdir)/fuzz/corpus/golden
