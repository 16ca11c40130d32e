# SPDX-License-Identifier: GPL-2.0-or-later
# Tests that are scripts are run by scripts/check; what `make check' runs is in tests/unit.
EXTRA_DIST += tests/ui/sim.sh tests/ui/tmux.sh

# Those of tests/cli need nothing but the build, so that `make check' runs them too.
cli_tests = tests/cli/errors.sh tests/cli/output.sh tests/cli/sim.sh
TESTS += $(cli_tests)
EXTRA_DIST += $(cli_tests) tests/cli/tap-lib tests/cli/schema.py

dist_noinst_SCRIPTS += tests/fuzz/run.sh
EXTRA_DIST += tests/fuzz/fuzz_snap.c

# What needs a checkout, a terminal or the lab.
EXTRA_DIST += \
	tests/lab/30-truth.sh \
	tests/lab/35-fields.sh \
	tests/lab/40-robust.sh \
	tests/lab/50-tui.sh \
	tests/lab/fields.py \
	tests/lab/truth.py \
	tests/tree/configure.sh \
	tests/tree/form.sh \
	tests/tree/includes.sh \
	tests/tree/portable.sh

# Scenarios, each naming its rule.
EXTRA_DIST += \
	tests/scenarios/01-dirty-two-aliases.scn
