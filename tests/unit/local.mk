# SPDX-License-Identifier: MIT
# Tests of single modules of the core, linked to its objects: nothing is hidden from them.
UNIT_TESTS = \
	tests/unit/lane \
	tests/unit/layout \
	tests/unit/registry \
	tests/unit/segment \
	tests/unit/words
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)

tests_unit_lane_SOURCES = tests/unit/lane.c
tests_unit_lane_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_lane_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_layout_SOURCES = tests/unit/layout.c
tests_unit_layout_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_layout_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_registry_SOURCES = tests/unit/registry.c
tests_unit_registry_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_registry_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_segment_SOURCES = tests/unit/segment.c
tests_unit_segment_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_segment_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
tests_unit_words_SOURCES = tests/unit/words.c
tests_unit_words_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_words_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(CHECK_LIBS)
