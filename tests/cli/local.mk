# SPDX-License-Identifier: MIT
# Tests of shmring(1).
# needs-package: coreutils
# needs-package: groff-base
# needs-package: jq
# needs-package: mandoc
# needs-package: util-linux

CLI_TESTS = \
	tests/cli/broker.sh \
	tests/cli/ending.sh \
	tests/cli/forms.sh \
	tests/cli/limits.sh \
	tests/cli/names.sh \
	tests/cli/progress.sh \
	tests/cli/refuse.sh \
	tests/cli/rights.sh \
	tests/cli/stamps.sh \
	tests/cli/stat.sh \
	tests/cli/subscribers.sh \
	tests/cli/usage.sh
TESTS += $(CLI_TESTS)
EXTRA_DIST += $(CLI_TESTS) tests/cli/lib.sh
