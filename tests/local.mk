# SPDX-License-Identifier: GPL-2.0-or-later
# Tests that are scripts are run by scripts/check; what `make check' runs is in tests/unit.
dist_noinst_SCRIPTS += tests/fuzz/run.sh
EXTRA_DIST += tests/fuzz/fuzz_snap.c
