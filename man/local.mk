# SPDX-License-Identifier: MIT
# Manual pages: one per call group and per subcommand.
dist_man_MANS += \
	man/shmring-create.1 \
	man/shmring-forget.1 \
	man/shmring-ls.1 \
	man/shmring-pub.1 \
	man/shmring-rm.1 \
	man/shmring-stat.1 \
	man/shmring-sub.1 \
	man/shmring.1
