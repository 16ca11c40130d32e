# SPDX-License-Identifier: GPL-2.0-or-later
# Tests that are scripts are run by scripts/check; what `make check' runs is in tests/unit.
EXTRA_DIST += tests/ui/sim.sh tests/ui/tmux.sh

# Those of tests/cli need nothing but the build, so that `make check' runs them too.
cli_tests = tests/cli/audit.sh tests/cli/audit-watch.sh tests/cli/diff.sh tests/cli/dirty.sh tests/cli/errors.sh tests/cli/events.sh tests/cli/output.sh tests/cli/pins.sh tests/cli/rmap.sh tests/cli/sim.sh tests/cli/stuck.sh tests/cli/wp.sh
TESTS += $(cli_tests)
EXTRA_DIST += $(cli_tests) tests/cli/tap-lib tests/cli/schema.py

dist_noinst_SCRIPTS += tests/fuzz/run.sh
EXTRA_DIST += tests/fuzz/fuzz_audit.c tests/fuzz/fuzz_gpt.c tests/fuzz/fuzz_scenario.c tests/fuzz/fuzz_snap.c tests/fuzz/mend.c tests/fuzz/mend.h

# What needs a checkout, a terminal or the lab.
EXTRA_DIST += \
	tests/lab/30-truth.sh \
	tests/lab/31-nested-vmx.sh \
	tests/lab/35-fields.sh \
	tests/lab/36-rmap.sh \
	tests/lab/37-guest.sh \
	tests/lab/40-robust.sh \
	tests/lab/50-tui.sh \
	tests/lab/51-tui-live.sh \
	tests/lab/70-audit.sh \
	tests/lab/80-events.sh \
	tests/lab/81-causes.sh \
	tests/lab/82-dirty.sh \
	tests/lab/83-values.sh \
	tests/lab/84-losses.sh \
	tests/lab/85-stuck.sh \
	tests/lab/86-filters.sh \
	tests/lab/87-events.sh \
	tests/lab/88-rarer.sh \
	tests/lab/89-shadow.sh \
	tests/lab/90-kmod.sh \
	tests/lab/91-exact.sh \
	tests/lab/92-dwarf.sh \
	tests/lab/92-wp.sh \
	tests/lab/93-nmmu.sh \
	tests/lab/94-limits.sh \
	tests/lab/95-safety.sh \
	tests/lab/fields.py \
	tests/lab/lib-kmod.sh \
	tests/lab/lib-listen.sh \
	tests/lab/lib-tui.sh \
	tests/lab/rmap.py \
	tests/lab/truth.py \
	tests/lab/gtables.py \
	tests/lab/values.py \
	tests/lab/rarer.py \
	tests/lab/wp.py \
	tests/tree/configure.sh \
	tests/tree/form.sh \
	tests/tree/includes.sh \
	tests/tree/portable.sh

# Scenarios, each naming its rule.
EXTRA_DIST += \
	tests/scenarios/01-dirty-two-aliases.scn \
	tests/scenarios/02-dirty-without-ept12.scn \
	tests/scenarios/03-dirty-at-read.scn \
	tests/scenarios/04-wrprot-only.scn \
	tests/scenarios/05-kind-without-pml.scn \
	tests/scenarios/06-pml-full.scn \
	tests/scenarios/07-pml12.scn \
	tests/scenarios/08-mmio-write-after-read-compat.scn \
	tests/scenarios/08-mmio-write-after-read.scn \
	tests/scenarios/09-npt-mmio-write-after-read.scn \
	tests/scenarios/10-mmio-becomes-memory.scn \
	tests/scenarios/11-mmio-during-update.scn \
	tests/scenarios/12-generation-wraps.scn \
	tests/scenarios/13-never-no-access.scn \
	tests/scenarios/14-ept-rights-exec-only.scn \
	tests/scenarios/14-ept-rights.scn \
	tests/scenarios/15-guest-tables-read-only.scn \
	tests/scenarios/16-ept-reserved-low-bits.scn \
	tests/scenarios/17-npt-table-read-only.scn \
	tests/scenarios/18-la57-toggled-smep-smap.scn \
	tests/scenarios/18-la57-toggled.scn \
	tests/scenarios/19-passthrough-root-written.scn \
	tests/scenarios/20-child-of-another-role.scn \
	tests/scenarios/21-child-of-another-frame.scn \
	tests/scenarios/22-shadowed-every-order.scn \
	tests/scenarios/22-shadowed-while-logged.scn \
	tests/scenarios/23-fast-fault-every-order.scn \
	tests/scenarios/23-fast-fault-races.scn \
	tests/scenarios/24-rmap-chain-6.1.scn \
	tests/scenarios/24-rmap-chain-6.12.scn \
	tests/scenarios/25-unsync-until-invept.scn \
	tests/scenarios/26-flooding.scn \
	tests/scenarios/27-partial-writes.scn \
	tests/scenarios/27-quadrants.scn \
	tests/scenarios/28-aged-direct-without-ad.scn \
	tests/scenarios/28-aged-ept12-without-ad.scn \
	tests/scenarios/29-huge-page-logged.scn \
	tests/scenarios/30-nx-huge.scn \
	tests/scenarios/31-pinned-and-zapped.scn \
	tests/scenarios/32-pinned-huge.scn \
	tests/scenarios/33-pins-and-recycling.scn \
	tests/scenarios/34-pinned-slots.scn \
	tests/scenarios/35-prefault-past-the-end.scn \
	tests/scenarios/36-prefault-fails.scn \
	tests/scenarios/37-device-with-bit-62.scn \
	tests/scenarios/38-cleared-huge.scn \
	tests/scenarios/39-pml12-unwritable.scn \
	tests/scenarios/40-not-present-hides.scn \
	tests/scenarios/bug-la57-root.scn \
	tests/scenarios/bug-no-flush.scn \
	tests/scenarios/bug-pml-l2.scn \
	tests/scenarios/bug-stale-qual.scn \
	tests/scenarios/bug-writable-invariant.scn \
	tests/scenarios/pin-balloon.scn \
	tests/scenarios/pin-mm-release.scn \
	tests/scenarios/pin-moved.scn \
	tests/scenarios/pin-nx.scn \
	tests/scenarios/pin-pae.scn \
	tests/scenarios/pin-split.scn
