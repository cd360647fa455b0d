# SPDX-License-Identifier: MIT
# Tests of single modules of the broker, linked to its objects.
BROKER_UNIT_TESTS = \
	tests/unit/catalog \
	tests/unit/config \
	tests/unit/isolated-lane \
	tests/unit/keeper-words \
	tests/unit/label \
	tests/unit/lane-copier \
	tests/unit/listener \
	tests/unit/policy \
	tests/unit/store
check_PROGRAMS += $(BROKER_UNIT_TESTS)
TESTS += $(BROKER_UNIT_TESTS)

BROKER_UNIT_CPPFLAGS = $(TESTS_CPPFLAGS) $(BROKER_CPPFLAGS)
BROKER_UNIT_LIBS = tests/support/libsupport.la lib/producer/libproducer.la lib/consumer/libconsumer.la \
	$(BROKER_LIBS) $(CHECK_LIBS)

tests_unit_store_SOURCES = tests/unit/store.c
tests_unit_store_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_store_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_catalog_SOURCES = tests/unit/catalog.c
tests_unit_catalog_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_catalog_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_config_SOURCES = tests/unit/config.c
tests_unit_config_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_config_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_isolated_lane_SOURCES = tests/unit/isolated-lane.c
tests_unit_isolated_lane_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_isolated_lane_LDADD = tests/support/libsupport.la $(UNIT_LIBS) $(BROKER_LIBS) $(CHECK_LIBS)
tests_unit_keeper_words_SOURCES = tests/unit/keeper-words.c
tests_unit_keeper_words_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_keeper_words_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_label_SOURCES = tests/unit/label.c
tests_unit_label_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_label_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_listener_SOURCES = tests/unit/listener.c
tests_unit_listener_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_listener_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_lane_copier_SOURCES = tests/unit/lane-copier.c
tests_unit_lane_copier_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_lane_copier_LDADD = $(BROKER_UNIT_LIBS)
tests_unit_policy_SOURCES = tests/unit/policy.c
tests_unit_policy_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_policy_LDADD = $(BROKER_UNIT_LIBS)

# No test; see the source.
check_PROGRAMS += tests/unit/catalog-rate
tests_unit_catalog_rate_SOURCES = tests/unit/catalog-rate.c
tests_unit_catalog_rate_CPPFLAGS = $(BROKER_UNIT_CPPFLAGS)
tests_unit_catalog_rate_LDADD = $(BROKER_UNIT_LIBS)
