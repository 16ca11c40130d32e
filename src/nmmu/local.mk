# SPDX-License-Identifier: GPL-2.0-or-later
# The nested MMU; portable C, also compiled into the kernel module.
libmmuscope_a_SOURCES += \
	src/abi/causes.def \
	src/abi/event.h \
	src/abi/events.def \
	src/nmmu/bugs.def \
	src/nmmu/machine.c \
	src/nmmu/mutants.def \
	src/nmmu/nmmu.h \
	src/nmmu/points.def \
	src/nmmu/port.h \
	src/nmmu/private.h \
	src/nmmu/spte_set.c \
	src/nmmu/types.h
