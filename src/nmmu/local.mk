# SPDX-License-Identifier: GPL-2.0-or-later
# The nested MMU; portable C, also compiled into the kernel module.
libmmuscope_a_SOURCES += \
	src/abi/causes.def \
	src/abi/event.h \
	src/abi/events.def \
	src/nmmu/age.c \
	src/nmmu/bugs.def \
	src/nmmu/dirty.c \
	src/nmmu/host_rw.c \
	src/nmmu/lpage.c \
	src/nmmu/machine.c \
	src/nmmu/mutants.def \
	src/nmmu/nmmu.h \
	src/nmmu/notifier.c \
	src/nmmu/nx.c \
	src/nmmu/pml.c \
	src/nmmu/points.def \
	src/nmmu/port.h \
	src/nmmu/private.h \
	src/nmmu/slot.c \
	src/nmmu/spte_set.c \
	src/nmmu/types.h
