# SPDX-License-Identifier: MIT
# How others use it: programs that are started in odd ways, twice in a row, with either side first,
# or beside a neighbour that does something wrong. One file is one story.
SHELL_CASES = \
	tests/cases/no-follow.sh
C_CASES =
check_PROGRAMS += $(C_CASES)
TESTS += $(C_CASES) $(SHELL_CASES)
EXTRA_DIST += $(SHELL_CASES)
