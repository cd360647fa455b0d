# SPDX-License-Identifier: MIT
# Tests of single modules of the core.
