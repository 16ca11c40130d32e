# SPDX-License-Identifier: GPL-2.0-or-later
# Tests that are scripts are run by scripts/check; what `make check' runs is in tests/unit.
EXTRA_DIST += tests/ui/tmux.sh
