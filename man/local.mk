# SPDX-License-Identifier: MIT
# Manual pages: one per call group and per subcommand.
dist_man_MANS += \
	man/shmring-broker.1 \
	man/shmring-create.1 \
	man/shmring-forget.1 \
	man/shmring-ls.1 \
	man/shmring-pub.1 \
	man/shmring-rm.1 \
	man/shmring-stat.1 \
	man/shmring-sub.1 \
	man/shmring.1

# Section 3: a page for each call group, and a page that leads there for each other call.
dist_man_MANS += \
	man/shmring.7 \
	man/shmring_abort.3 \
	man/shmring_broker_close.3 \
	man/shmring_broker_metrics.3 \
	man/shmring_broker_next.3 \
	man/shmring_broker_open.3 \
	man/shmring_claim.3 \
	man/shmring_close.3 \
	man/shmring_commit.3 \
	man/shmring_consumer_arm.3 \
	man/shmring_consumer_attach.3 \
	man/shmring_consumer_cancel.3 \
	man/shmring_consumer_counters.3 \
	man/shmring_consumer_detach.3 \
	man/shmring_consumer_fd.3 \
	man/shmring_consumer_memory.3 \
	man/shmring_consumer_missed.3 \
	man/shmring_consumer_quiet.3 \
	man/shmring_consumer_spin.3 \
	man/shmring_consumer_waitable.3 \
	man/shmring_consumer_watermark.3 \
	man/shmring_create.3 \
	man/shmring_deadline.3 \
	man/shmring_directory.3 \
	man/shmring_discard.3 \
	man/shmring_explain.3 \
	man/shmring_fd.3 \
	man/shmring_flush.3 \
	man/shmring_forget.3 \
	man/shmring_join.3 \
	man/shmring_message_lost.3 \
	man/shmring_message_stamp.3 \
	man/shmring_message_tenancy.3 \
	man/shmring_next_length.3 \
	man/shmring_open.3 \
	man/shmring_open_fd.3 \
	man/shmring_open_or_create.3 \
	man/shmring_open_wait.3 \
	man/shmring_peek.3 \
	man/shmring_peek_batch.3 \
	man/shmring_producer_arm.3 \
	man/shmring_producer_attach.3 \
	man/shmring_producer_cancel.3 \
	man/shmring_producer_counters.3 \
	man/shmring_producer_detach.3 \
	man/shmring_producer_fd.3 \
	man/shmring_producer_lane.3 \
	man/shmring_producer_max_message.3 \
	man/shmring_producer_memory.3 \
	man/shmring_producer_quiet.3 \
	man/shmring_producer_spin.3 \
	man/shmring_producer_waitable.3 \
	man/shmring_producer_wake.3 \
	man/shmring_publish.3 \
	man/shmring_publishv.3 \
	man/shmring_reap.3 \
	man/shmring_receive.3 \
	man/shmring_release.3 \
	man/shmring_release_first.3 \
	man/shmring_remove.3 \
	man/shmring_remove_unused.3 \
	man/shmring_rewind.3 \
	man/shmring_stage.3 \
	man/shmring_stamp_now.3 \
	man/shmring_stat.3 \
	man/shmring_stat_consumer.3 \
	man/shmring_stat_lane.3 \
	man/shmring_version.3 \
	man/shmring_wait.3 \
	man/shmring_wait_consumers.3 \
	man/shmring_wait_producers.3

if ENABLE_BROKER
dist_man_MANS += \
	man/shmringd.8 \
	man/shmringd.conf.5
endif
