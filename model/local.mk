# SPDX-License-Identifier: MIT
# The models. `make check-model` runs them alone; make check runs them, too. `make check-model-full`
# searches larger runs, for an hour or so.

MODEL_FILES = \
	model/doorbell-messages.pml \
	model/doorbell-room.pml \
	model/evict.pml \
	model/full.sh \
	model/join.inc \
	model/join.pml \
	model/keeper.pml \
	model/lane.inc \
	model/lane.pml \
	model/names.pml \
	model/observe.pml \
	model/places.pml \
	model/quick.sh \
	model/registry.inc \
	model/room.inc
EXTRA_DIST += model/check-model.sh $(MODEL_FILES)

if ENABLE_TESTS
LONG_TESTS += model/check-model.sh
endif

.PHONY: check-model check-model-full
check-model:
	abs_srcdir='$(abs_top_srcdir)' $(SHELL) $(srcdir)/model/check-model.sh
check-model-full:
	abs_srcdir='$(abs_top_srcdir)' $(SHELL) $(srcdir)/model/check-model.sh full
