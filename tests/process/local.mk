# SPDX-License-Identifier: MIT
# Tests on real processes through the public API.
check_PROGRAMS += tests/process/peer
tests_process_peer_SOURCES = tests/process/peer.c
tests_process_peer_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_peer_LDADD = $(PROCESS_LIBS)

PROCESS_LIBS = tests/support/libsupport.la $(SHMRING_LIBS) $(CHECK_LIBS)
PROCESS_TESTS = \
	tests/process/arrivals \
	tests/process/badfile \
	tests/process/brokered \
	tests/process/cancel \
	tests/process/claim \
	tests/process/claim-called \
	tests/process/claim-stamped \
	tests/process/clocks \
	tests/process/crowd \
	tests/process/counts \
	tests/process/death \
	tests/process/ends \
	tests/process/environ \
	tests/process/ephemeral \
	tests/process/files \
	tests/process/forked \
	tests/process/forked-called \
	tests/process/handoffs \
	tests/process/join \
	tests/process/lag \
	tests/process/lag-stopped \
	tests/process/limits \
	tests/process/loop \
	tests/process/memory \
	tests/process/names \
	tests/process/observe \
	tests/process/observe-stamped \
	tests/process/peek \
	tests/process/peek-called \
	tests/process/peek-stamped \
	tests/process/positions \
	tests/process/rhythm \
	tests/process/rhythm-stamped \
	tests/process/rights \
	tests/process/sleepers \
	tests/process/slow \
	tests/process/space \
	tests/process/stamps \
	tests/process/stream \
	tests/process/message \
	tests/process/until \
	tests/process/unused \
	tests/process/vacancy \
	tests/process/wake \
	tests/process/window \
	tests/process/window-called \
	tests/process/window-stamped
check_PROGRAMS += $(PROCESS_TESTS)
TESTS += $(PROCESS_TESTS)

tests_process_arrivals_SOURCES = tests/process/arrivals.c
tests_process_arrivals_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_arrivals_LDADD = $(PROCESS_LIBS)
tests_process_badfile_SOURCES = tests/process/badfile.c
tests_process_badfile_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_badfile_LDADD = $(PROCESS_LIBS)
tests_process_brokered_SOURCES = tests/process/brokered.c
tests_process_brokered_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_brokered_LDADD = $(PROCESS_LIBS)
tests_process_claim_SOURCES = tests/process/claim.c
tests_process_claim_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_claim_LDADD = $(PROCESS_LIBS)
tests_process_cancel_SOURCES = tests/process/cancel.c
tests_process_cancel_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_cancel_LDADD = $(PROCESS_LIBS)
tests_process_clocks_SOURCES = tests/process/clocks.c
tests_process_clocks_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_clocks_LDADD = $(PROCESS_LIBS)
tests_process_crowd_SOURCES = tests/process/crowd.c
tests_process_crowd_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_crowd_LDADD = $(PROCESS_LIBS)
tests_process_counts_SOURCES = tests/process/counts.c
tests_process_counts_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_counts_LDADD = $(PROCESS_LIBS)
tests_process_death_SOURCES = tests/process/death.c
tests_process_death_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_death_LDADD = $(PROCESS_LIBS)
tests_process_ends_SOURCES = tests/process/ends.c
tests_process_ends_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_ends_LDADD = $(PROCESS_LIBS)
tests_process_environ_SOURCES = tests/process/environ.c
tests_process_environ_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_environ_LDADD = $(PROCESS_LIBS)
tests_process_files_SOURCES = tests/process/files.c
tests_process_files_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_files_LDADD = $(PROCESS_LIBS)
tests_process_forked_SOURCES = tests/process/forked.c
tests_process_forked_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_forked_LDADD = $(PROCESS_LIBS)
tests_process_join_SOURCES = tests/process/join.c
tests_process_join_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_join_LDADD = $(PROCESS_LIBS)
tests_process_lag_stopped_SOURCES = tests/process/lag-stopped.c
tests_process_lag_stopped_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_lag_stopped_LDADD = $(PROCESS_LIBS)
tests_process_limits_SOURCES = tests/process/limits.c
tests_process_limits_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_limits_LDADD = $(PROCESS_LIBS)
tests_process_loop_SOURCES = tests/process/loop.c
tests_process_loop_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_loop_LDADD = $(PROCESS_LIBS)
tests_process_memory_SOURCES = tests/process/memory.c
tests_process_memory_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_memory_LDADD = $(PROCESS_LIBS)
tests_process_names_SOURCES = tests/process/names.c
tests_process_names_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_names_LDADD = $(PROCESS_LIBS)
tests_process_observe_SOURCES = tests/process/observe.c
tests_process_observe_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_observe_LDADD = $(PROCESS_LIBS)
tests_process_peek_SOURCES = tests/process/peek.c
tests_process_peek_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_peek_LDADD = $(PROCESS_LIBS)
tests_process_positions_SOURCES = tests/process/positions.c
tests_process_positions_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_positions_LDADD = $(PROCESS_LIBS)
tests_process_rhythm_SOURCES = tests/process/rhythm.c
tests_process_rhythm_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_rhythm_LDADD = $(PROCESS_LIBS)
tests_process_rights_SOURCES = tests/process/rights.c
tests_process_rights_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_rights_LDADD = $(PROCESS_LIBS)
tests_process_lag_SOURCES = tests/process/lag.c
tests_process_lag_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_lag_LDADD = $(PROCESS_LIBS)
tests_process_slow_SOURCES = tests/process/slow.c
tests_process_slow_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_slow_LDADD = $(PROCESS_LIBS)
tests_process_space_SOURCES = tests/process/space.c
tests_process_space_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_space_LDADD = $(PROCESS_LIBS)
tests_process_stamps_SOURCES = tests/process/stamps.c
tests_process_stamps_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_stamps_LDADD = $(PROCESS_LIBS)
tests_process_stream_SOURCES = tests/process/stream.c
tests_process_stream_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_stream_LDADD = $(PROCESS_LIBS)
tests_process_message_SOURCES = tests/process/message.c
tests_process_message_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_message_LDADD = $(PROCESS_LIBS)
tests_process_until_SOURCES = tests/process/until.c
tests_process_until_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_until_LDADD = $(PROCESS_LIBS)
tests_process_ephemeral_SOURCES = tests/process/ephemeral.c
tests_process_ephemeral_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_ephemeral_LDADD = $(PROCESS_LIBS)
tests_process_unused_SOURCES = tests/process/unused.c
tests_process_unused_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_unused_LDADD = $(PROCESS_LIBS)
tests_process_vacancy_SOURCES = tests/process/vacancy.c
tests_process_vacancy_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_vacancy_LDADD = $(PROCESS_LIBS)
tests_process_wake_SOURCES = tests/process/wake.c
tests_process_wake_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_wake_LDADD = $(PROCESS_LIBS)
tests_process_window_SOURCES = tests/process/window.c
tests_process_window_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_window_LDADD = $(PROCESS_LIBS)

# The same tests on the library's functions rather than on those that the headers inline.
tests_process_claim_called_SOURCES = tests/process/claim.c
tests_process_claim_called_CPPFLAGS = $(TESTS_CPPFLAGS) -DSHMRING_NO_INLINE
tests_process_claim_called_LDADD = $(PROCESS_LIBS)
tests_process_peek_called_SOURCES = tests/process/peek.c
tests_process_peek_called_CPPFLAGS = $(TESTS_CPPFLAGS) -DSHMRING_NO_INLINE
tests_process_peek_called_LDADD = $(PROCESS_LIBS)
tests_process_window_called_SOURCES = tests/process/window.c
tests_process_window_called_CPPFLAGS = $(TESTS_CPPFLAGS) -DSHMRING_NO_INLINE
tests_process_window_called_LDADD = $(PROCESS_LIBS)
tests_process_forked_called_SOURCES = tests/process/forked.c
tests_process_forked_called_CPPFLAGS = $(TESTS_CPPFLAGS) -DSHMRING_NO_INLINE
tests_process_forked_called_LDADD = $(PROCESS_LIBS)

# The same tests on rings with stamps.
tests_process_claim_stamped_SOURCES = tests/process/claim.c
tests_process_claim_stamped_CPPFLAGS = $(TESTS_CPPFLAGS) -DTEST_STAMPS
tests_process_claim_stamped_LDADD = $(PROCESS_LIBS)
tests_process_observe_stamped_SOURCES = tests/process/observe.c
tests_process_observe_stamped_CPPFLAGS = $(TESTS_CPPFLAGS) -DTEST_STAMPS
tests_process_observe_stamped_LDADD = $(PROCESS_LIBS)
tests_process_rhythm_stamped_SOURCES = tests/process/rhythm.c
tests_process_rhythm_stamped_CPPFLAGS = $(TESTS_CPPFLAGS) -DTEST_STAMPS
tests_process_rhythm_stamped_LDADD = $(PROCESS_LIBS)
tests_process_peek_stamped_SOURCES = tests/process/peek.c
tests_process_peek_stamped_CPPFLAGS = $(TESTS_CPPFLAGS) -DTEST_STAMPS
tests_process_peek_stamped_LDADD = $(PROCESS_LIBS)
tests_process_window_stamped_SOURCES = tests/process/window.c
tests_process_window_stamped_CPPFLAGS = $(TESTS_CPPFLAGS) -DTEST_STAMPS
tests_process_window_stamped_LDADD = $(PROCESS_LIBS)

# Sleep and wake-up, between two processors and among thousands.
tests_process_handoffs_SOURCES = tests/process/handoffs.c
tests_process_handoffs_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_handoffs_LDADD = $(PROCESS_LIBS)
tests_process_sleepers_SOURCES = tests/process/sleepers.c
tests_process_sleepers_CPPFLAGS = $(TESTS_CPPFLAGS)
tests_process_sleepers_LDADD = $(PROCESS_LIBS)

# So many hand-offs of each kind: make check-handoffs COUNT=10000000 takes some minutes.
COUNT = 10000000
PHONY_TARGETS += check-handoffs
check-handoffs: tests/process/handoffs tests/process/peer
	$(AM_TESTS_ENVIRONMENT) SHMRING_HANDOFFS=$(COUNT) tests/process/handoffs
