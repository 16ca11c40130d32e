# SPDX-License-Identifier: GPL-2.0-or-later
# Nothing of this is installed; a release carries it so that it can be built and checked as a clone can.
EXTRA_DIST += \
	scripts/bench \
	scripts/build \
	scripts/check \
	scripts/check-asan \
	scripts/check-dist \
	scripts/check-coverage \
	scripts/lab \
	scripts/kmod \
	scripts/kmod-coverage \
	scripts/debug-kernel/config \
	scripts/lib-debug-kernel.sh \
	scripts/lib-intel.sh \
	scripts/lib-kernel.sh \
	scripts/lib.sh \
	scripts/run \
	scripts/tap \
	scripts/types \
	scripts/intel/channel.c \
	scripts/intel/image \
	scripts/intel/loader.S \
	scripts/intel/root \
	scripts/intel/root.list \
	scripts/in-lab/bench \
	scripts/in-lab/demo \
	scripts/in-lab/in-ram \
	scripts/in-lab/init \
	scripts/in-lab/session \
	tests/scripts/bench.sh \
	tests/scripts/intel-image.sh \
	tests/scripts/dwarf.sh \
	tests/scripts/kmod.sh \
	tests/scripts/lab.sh \
	tests/scripts/lab-intel.sh \
	tests/scripts/run.sh \
	tests/scripts/tap.sh
