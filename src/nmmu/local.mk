# SPDX-License-Identifier: GPL-2.0-or-later
# The nested MMU; portable C, also compiled into the kernel module.
nmmu_sources = \
	src/nmmu/age.c \
	src/nmmu/bugs.def \
	src/nmmu/check.c \
	src/nmmu/dirty.c \
	src/nmmu/emulate.c \
	src/nmmu/exit.c \
	src/nmmu/fast.c \
	src/nmmu/fault.c \
	src/nmmu/fault_shadow.c \
	src/nmmu/gfmt.c \
	src/nmmu/host_rw.c \
	src/nmmu/image.c \
	src/nmmu/image.h \
	src/nmmu/index.c \
	src/nmmu/invalidate.c \
	src/nmmu/lpage.c \
	src/nmmu/machine.c \
	src/nmmu/mmio.c \
	src/nmmu/mutants.def \
	src/nmmu/nested.c \
	src/nmmu/nmmu.h \
	src/nmmu/notifier.c \
	src/nmmu/nx.c \
	src/nmmu/pin.c \
	src/nmmu/pml.c \
	src/nmmu/points.def \
	src/nmmu/port.h \
	src/nmmu/prefault.c \
	src/nmmu/private.h \
	src/nmmu/ptwrite.c \
	src/nmmu/rmap.c \
	src/nmmu/role.c \
	src/nmmu/root.c \
	src/nmmu/slot.c \
	src/nmmu/sp.c \
	src/nmmu/spte_make.c \
	src/nmmu/spte_set.c \
	src/nmmu/translate.c \
	src/nmmu/types.h \
	src/nmmu/unsync.c \
	src/nmmu/vcpu.c \
	src/nmmu/walk.c \
	src/nmmu/x86.h \
	src/nmmu/zap.c
libmmuscope_a_SOURCES += $(nmmu_sources)
